"""Disputes: opened, lost and won by the bank; an app reads them and may accept them (https://docs.stripe.com/disputes)."""

from holdtrue.stage.payments import balance, errors
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource

_EVIDENCE = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
]
_DUE_AFTER = 7 * 24 * 3600
_FEE = 15_00
CLOSED = ("lost", "warning_closed", "won")
UNANSWERED = ("needs_response", "warning_needs_response")
# https://docs.stripe.com/testing#evidence: what the evidence's text decides in a test.
_DECIDES = {"winning_evidence": "won", "losing_evidence": "lost"}


def make(books: Books, charge: Resource, amount: int, *, reason: str, inquiry: bool) -> Resource:
    """A new dispute with its events; only an inquiry leaves the money where it is."""
    dispute: Resource = {
        "id": books.new_id("dispute"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": books.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": books.now() + _DUE_AFTER,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": None,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    books.change(charge, None, disputed=True)
    books.save(dispute)
    if not inquiry:
        _move(books, dispute, -amount)
    books.emit("charge.dispute.created", dispute)
    if not inquiry:
        books.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def escalate(books: Books, dispute: Resource) -> Resource:
    """An inquiry becomes a chargeback of the same id: only now the money goes."""
    card = {**dispute["payment_method_details"]["card"], "case_type": "chargeback"}
    before = dict(dispute)
    books.change(
        dispute,
        None,
        status="needs_response",
        is_charge_refundable=False,
        evidence_details={**dispute["evidence_details"], "due_by": books.now() + _DUE_AFTER},
        payment_method_details={**dispute["payment_method_details"], "card": card},
    )
    _move(books, dispute, -dispute["amount"])
    books.emit("charge.dispute.updated", dispute, before)
    books.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close(books: Books, dispute: Resource, status: str) -> Resource:
    """The bank's verdict: `won` brings the money back (the fee stays), `lost` and `warning_closed` move none."""
    books.change(dispute, None, status=status, is_charge_refundable=status != "lost")
    if status == "won":
        _move(books, dispute, dispute["amount"])
        books.emit("charge.dispute.funds_reinstated", dispute)
    books.emit("charge.dispute.closed", dispute)
    return dispute


def lapse(books: Books, dispute: Resource) -> Resource:
    """Nobody answered until it was due: a chargeback is lost, an inquiry is over."""
    dispute["evidence_details"] = {**dispute["evidence_details"], "past_due": True}
    return close(books, dispute, "lost" if dispute["status"] == "needs_response" else "warning_closed")


def _move(books: Books, dispute: Resource, amount: int) -> None:
    out = amount < 0
    transaction = balance.record(
        books,
        "adjustment",
        amount,
        dispute,
        category="dispute" if out else "dispute_reversal",
        fee=_FEE if out else 0,
        fee_for="Dispute fee",
    )
    moved = [*dispute["balance_transactions"], books.get("balance_transaction", transaction)]
    books.change(dispute, None, balance_transactions=moved)


def _close(books: Books, _: Params, identifier: str) -> Resource:
    dispute = books.live("dispute", identifier)
    if dispute["status"] in CLOSED:
        raise errors.refused("This dispute is already closed.")
    return close(books, dispute, "lost")


def _update(books: Books, params: Params, identifier: str) -> Resource:
    dispute = books.live("dispute", identifier)
    changes: Resource = {"metadata": params.metadata(dispute["metadata"])}
    submitted = params.boolean("submit") is not False
    if params.has("evidence"):
        if dispute["status"] in CLOSED:
            raise errors.refused("This dispute is already closed; evidence can no longer be submitted.")
        changes["evidence"] = {**dispute["evidence"], **params.echo("evidence")}
        changes["evidence_details"] = {**dispute["evidence_details"], "has_evidence": True}
    elif not params.has("submit"):
        submitted = False
    if submitted:
        inquiry = dispute["status"].startswith("warning_")
        changes["status"] = "warning_under_review" if inquiry else "under_review"
        details = changes.get("evidence_details") or dispute["evidence_details"]
        count = details["submission_count"] + 1
        changes["evidence_details"] = {**details, "submission_count": count, "submission_method": "manual"}
    books.change(dispute, "charge.dispute.updated", **changes)
    decided = _DECIDES.get(dispute["evidence"]["uncategorized_text"] or "") if submitted else None
    return dispute if decided is None else close(books, dispute, decided)


def _list(books: Books, params: Params) -> Resource:
    wanted = {name: params.text(name) for name in ("charge", "payment_intent")}
    found = [
        dispute
        for dispute in newest(books.all("dispute"))
        if all(value in (None, dispute[name]) for name, value in wanted.items())
    ]
    return page(found, params, "/v1/disputes", kind="dispute")


ROUTES = (
    Route("GET", "/v1/disputes", _list),
    Route("GET", "/v1/disputes/{id}", lambda books, _, identifier: books.get("dispute", identifier)),
    Route("POST", "/v1/disputes/{id}", _update),
    Route("POST", "/v1/disputes/{id}/close", _close),
)
