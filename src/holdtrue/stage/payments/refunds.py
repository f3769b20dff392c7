"""Refunds, never above what was captured (https://docs.stripe.com/api/refunds)."""

from holdtrue.stage.payments import balance, errors, money
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource

COUNTED = ("pending", "requires_action", "succeeded")
_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def refunded(books: Books, charge: str) -> int:
    """What of a charge is refunded or on its way: failed and canceled refunds gave their money back."""
    return sum(
        refund["amount"] for refund in books.all("refund") if refund["charge"] == charge and refund["status"] in COUNTED
    )


def make(books: Books, charge: Resource, amount: int, *, reason: str | None, metadata: dict[str, str]) -> Resource:
    """A new refund with the status that is scripted next, and its events."""
    script = books.world.script.refunds
    scripted = {"refund_pending": "pending", "refund_failed": "failed"}.get(charge.get("_later") or "", "succeeded")
    status = script.pop(0) if script else scripted
    refund: Resource = {
        "id": books.new_id("refund"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": books.now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {"reference": None, "reference_status": "pending", "reference_type": None, "type": "refund"},
            "type": "card",
        },
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if status == "failed" else status,
        "transfer_reversal": None,
    }
    if refund["status"] == "pending":
        refund["pending_reason"] = "processing"
    refund["balance_transaction"] = balance.record(books, "refund", -amount, refund)
    books.save(refund)
    books.emit("refund.created", refund)
    _recount(books, charge, "charge.refunded")
    return settle(books, refund, "failed", "unknown") if status == "failed" else refund


def settle(books: Books, refund: Resource, status: str, failure_reason: str | None = None) -> Resource:
    """The bank's later word on a refund. A failed one puts the money back on our side of the ledger."""
    before = dict(refund)
    refund.pop("pending_reason", None)
    changes: Resource = {"status": status}
    if status in ("failed", "canceled"):
        charge = books.get("charge", refund["charge"])
        changes["failure_balance_transaction"] = balance.record(
            books, "refund_failure", refund["amount"], refund, category="refund_failure"
        )
        if status == "failed":
            changes["failure_reason"] = failure_reason
        books.change(refund, None, **changes)
        _recount(books, charge)
    else:
        books.change(refund, None, **changes)
    if status == "failed":
        books.emit("refund.failed", refund)
    books.emit("refund.updated", refund, before)
    books.emit("charge.refund.updated", refund, before)
    return refund


def _recount(books: Books, charge: Resource, event: str | None = None) -> None:
    total = refunded(books, charge["id"])
    books.change(charge, event, amount_refunded=total, refunded=total >= charge["amount_captured"])


def _create(books: Books, params: Params) -> Resource:
    charge = _charge(books, params)
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise errors.refused(
            f"Charge {charge['id']} has not been captured, so it cannot be refunded: cancel its PaymentIntent instead.",
            param="charge",
        )
    if charge["disputed"] and not _refundable_while_disputed(books, charge):
        raise errors.refused(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    left = charge["amount_captured"] - refunded(books, charge["id"])
    if left <= 0:
        raise errors.refused(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = params.integer("amount", minimum=1)
    amount = left if amount is None else amount
    if amount > left:
        asked, rest = money.written(amount, charge["currency"]), money.written(left, charge["currency"])
        base = "charge amount" if left == charge["amount_captured"] else "unrefunded amount on charge"
        raise errors.refused(f"Refund amount ({asked}) is greater than {base} ({rest})", param="amount")
    reason = params.choice("reason", _REASONS)
    return make(books, charge, amount, reason=reason, metadata=params.metadata())


def _charge(books: Books, params: Params) -> Resource:
    if params.has("charge"):
        return books.get("charge", params.need("charge"), param="charge")
    if not params.has("payment_intent"):
        raise errors.invalid(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    intent = books.get("payment_intent", params.need("payment_intent"), param="payment_intent")
    charge = None if intent["latest_charge"] is None else books.get("charge", intent["latest_charge"])
    if charge is None or charge["status"] != "succeeded" or not charge["captured"]:
        raise errors.refused(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.", param="payment_intent"
        )
    return charge


def _refundable_while_disputed(books: Books, charge: Resource) -> bool:
    return all(dispute["is_charge_refundable"] for dispute in books.all("dispute") if dispute["charge"] == charge["id"])


def _update(books: Books, params: Params, identifier: str) -> Resource:
    refund = books.live("refund", identifier)
    return books.change(refund, "refund.updated", metadata=params.metadata(refund["metadata"]))


def _cancel(books: Books, _: Params, identifier: str) -> Resource:
    refund = books.live("refund", identifier)
    if refund["status"] != "requires_action":
        raise errors.refused(
            f"Refund {identifier} cannot be canceled: only a refund that requires action can, this one is "
            f"{refund['status']}."
        )
    return settle(books, refund, "canceled")


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("charge", "payment_intent")}
    for kind, value in wanted.items():
        if value is not None:
            books.get(kind, value, param=kind)
    found = [
        refund
        for refund in newest(books.all("refund"))
        if all(value in (None, refund[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/refunds", kind="refund")


def _of_charge(books: Books, params: Params, charge: str) -> Resource:
    books.get("charge", charge)
    found = [refund for refund in newest(books.all("refund")) if refund["charge"] == charge]
    return page(found, params, f"/v1/charges/{charge}/refunds", kind="refund")


ROUTES = (
    Route("POST", "/v1/refunds", _create),
    Route("GET", "/v1/refunds", _list),
    Route("GET", "/v1/refunds/{id}", lambda books, _, identifier: books.get("refund", identifier)),
    Route("POST", "/v1/refunds/{id}", _update),
    Route("POST", "/v1/refunds/{id}/cancel", _cancel),
    Route("GET", "/v1/charges/{id}/refunds", _of_charge),
)
