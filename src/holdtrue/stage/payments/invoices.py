"""What becomes of an invoice: drafted, finalised, paid, failed, given up; and what that does to its subscription.

The lifecycle is https://docs.stripe.com/invoicing/overview, that of failed renewals
https://docs.stripe.com/billing/revenue-recovery/smart-retries.
"""

from collections.abc import Mapping, Sequence

from holdtrue.stage.payments import intents, invoice_objects, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource

_DAY = 24 * 3600
_LIVING = ("incomplete", "past_due", "unpaid")


def draft(
    books: Books,
    subscription: Resource,
    reason: str,
    *,
    extra: Sequence[subscriptions.Line] = (),
    period: bool = True,
    tell: Mapping[str, Resource | None] | None = None,
) -> Resource:
    """A draft for the subscription's current period (unless not `period`), with what is pending for it.

    `reason` is the invoice's `billing_reason`; `extra` are one-time prices. `tell` has an event of the subscription, by
    type with what was before: it comes first, and knows the invoice already.
    """
    customer = books.get("customer", subscription["customer"])
    invoice = invoice_objects.draft(books, customer, subscription["currency"], reason, subscription)
    entries = subscription["items"]["data"] if period else []
    lines = [invoice_objects.entry_line(books, invoice["id"], subscription, entry) for entry in entries]
    for price, quantity in extra:
        invoice_objects.item(books, customer["id"], price, quantity, _subscription=subscription["id"])
    invoice = _with_pending(books, invoice, subscription["id"], lines)
    if subscription["days_until_due"] is not None:
        invoice["due_date"] = books.now() + subscription["days_until_due"] * _DAY
    books.save(invoice)
    books.change(subscription, None, latest_invoice=invoice["id"])
    for event, before in (tell or {}).items():
        books.emit(event, subscription, before)
    books.emit("invoice.created", invoice)
    return invoice


def include_pending(books: Books, invoice: Resource) -> Resource:
    """A draft made by hand takes what is pending for its customer, or for its subscription."""
    return _with_pending(books, invoice, invoice_objects.subscription_of(invoice), [])


def _with_pending(books: Books, invoice: Resource, subscription: str | None, lines: list[Resource]) -> Resource:
    waiting = invoice_objects.pending(books, invoice["customer"], subscription)
    for billed in waiting:
        books.change(billed, None, invoice=invoice["id"])
    added = [invoice_objects.item_line(books, invoice["id"], billed) for billed in waiting]
    return invoice_objects.with_lines(invoice, [*lines, *added])


def first(books: Books, subscription: Resource, *, extra: Sequence[subscriptions.Line] = (), tell: bool) -> Resource:
    """The finalised first invoice of a subscription, of which it tells before: see `draft` and `finalize`."""
    created: dict[str, Resource | None] = {"customer.subscription.created": None} if tell else {}
    return finalize(books, draft(books, subscription, "subscription_create", extra=extra, tell=created))


def finalize(books: Books, invoice: Resource, *, collect: bool = True) -> Resource:
    """Draft becomes open; with an intent where there is something to pay, and paid at once where there is not.

    A customer's balance is used up first (https://docs.stripe.com/billing/customer/balance).
    """
    customer = books.get("customer", invoice["customer"])
    start = customer["balance"]
    after = start + invoice["total"]
    due = max(0, after)
    moments = {**invoice["status_transitions"], "finalized_at": books.now()}
    prefix, count = customer["invoice_prefix"], customer["next_invoice_sequence"]
    books.change(
        invoice,
        None,
        status="open",
        amount_due=due,
        amount_remaining=due,
        starting_balance=start,
        ending_balance=min(0, after),
        number=f"{prefix}-{count:04d}",
        hosted_invoice_url=f"https://invoice.stripe.com/i/{invoice['id']}",
        invoice_pdf=f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
        effective_at=books.now(),
        automatically_finalizes_at=None,
        status_transitions=moments,
    )
    books.change(customer, None, next_invoice_sequence=count + 1)
    books.change(customer, "customer.updated", balance=min(0, after))
    books.emit("invoice.finalized", invoice)
    if not collect:
        return invoice
    if invoice["amount_due"] == 0:
        return paid(books, invoice, None)
    beginning = invoice["billing_reason"] == "subscription_create"
    named = "Payment for Invoice" if invoice["billing_reason"] == "manual" else "Subscription update"
    intent = intents.make(
        books,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description="Subscription creation" if beginning else named,
        setup_future_usage="off_session" if beginning else None,
        _invoice=invoice["id"],
    )
    _link(books, invoice, intent)
    return books.change(invoice, None, _payment_intent=intent["id"])


def paid(books: Books, invoice: Resource, charge: Resource | None, *, automatic: bool = True) -> Resource:
    """The invoice is paid (by a charge, or because nothing was due); its subscription comes alive."""
    moments = {**invoice["status_transitions"], "paid_at": books.now()}
    books.change(
        invoice,
        "invoice.updated",
        status="paid",
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        attempt_count=invoice["attempt_count"] if charge is None else _attempts(invoice, automatic),
        auto_advance=False,
        next_payment_attempt=None,
        status_transitions=moments,
        _charge=None if charge is None else charge["id"],
    )
    for payment in books.all("invoice_payment"):
        if payment["invoice"] == invoice["id"]:
            done = {"canceled_at": None, "paid_at": books.now()}
            books.change(payment, None, status="paid", amount_paid=invoice["amount_due"], status_transitions=done)
            books.emit("invoice_payment.paid", payment)
    books.emit("invoice.paid", invoice)
    books.emit("invoice.payment_succeeded", invoice)
    books.change(books.get("customer", invoice["customer"]), "customer.updated", delinquent=False)
    subscription = _subscription(books, invoice)
    if subscription is not None and subscription["latest_invoice"] == invoice["id"]:
        _revive(books, subscription)
    return invoice


def _revive(books: Books, subscription: Resource) -> None:
    if subscription["status"] in _LIVING:
        told = None if subscription.get("_untold") else "customer.subscription.updated"
        books.change(subscription, told, status="active")


def payment_failed(books: Books, invoice: Resource, *, automatic: bool = True, action: bool = False) -> Resource:
    """An attempt failed: the invoice stays open, a running subscription becomes past due, or is given up.

    `automatic` attempts follow the account's retry schedule; `action` tells that the bank asks for the customer.
    """
    subscription = _subscription(books, invoice)
    cycle = subscription is not None and invoice["billing_reason"] != "subscription_create"
    attempts = _attempts(invoice, automatic)
    following = _next_attempt(books, invoice, attempts, automatic) if cycle else None
    books.change(books.get("customer", invoice["customer"]), "customer.updated", delinquent=True)
    books.change(
        invoice,
        "invoice.updated",
        attempted=True,
        attempt_count=attempts,
        auto_advance=following is not None or not cycle,
        next_payment_attempt=following,
    )
    books.emit("invoice.payment_failed", invoice)
    if action:
        books.emit("invoice.payment_action_required", invoice)
    if subscription is None or not cycle:
        return invoice
    if subscription["status"] in ("active", "trialing"):
        books.change(subscription, "customer.subscription.updated", status="past_due")
    if following is None and subscription["status"] == "past_due":
        _give_up(books, subscription)
    return invoice


def _attempts(invoice: Resource, automatic: bool) -> int:
    """Any attempt counts as the first; after it only automatic ones count."""
    count = int(invoice["attempt_count"])
    return count + 1 if automatic or count == 0 else count


def _next_attempt(books: Books, invoice: Resource, attempts: int, automatic: bool) -> int | None:
    if not automatic and invoice["next_payment_attempt"] is not None:
        return int(invoice["next_payment_attempt"])
    waits = books.world.script.dunning.retry_after_days
    return books.now() + waits[attempts - 1] * _DAY if attempts <= len(waits) else None


def _give_up(books: Books, subscription: Resource) -> None:
    then = books.world.script.dunning.then
    if then == "cancel":
        subscriptions.end(books, subscription, reason="payment_failed")
    elif then == "unpaid":
        books.change(subscription, "customer.subscription.updated", status="unpaid")


def void(books: Books, invoice: Resource) -> Resource:
    """Nobody owes it any more; its intent is canceled."""
    moments = {**invoice["status_transitions"], "voided_at": books.now()}
    _cancel_intent(books, invoice)
    changes = {"status": "void", "next_payment_attempt": None, "auto_advance": False, "status_transitions": moments}
    books.change(invoice, "invoice.updated", **changes)
    books.emit("invoice.voided", invoice)
    return _settled(books, invoice)


def mark_uncollectible(books: Books, invoice: Resource) -> Resource:
    """Bad debt: it can still be paid, or voided."""
    moments = {**invoice["status_transitions"], "marked_uncollectible_at": books.now()}
    changes = {"status": "uncollectible", "next_payment_attempt": None, "status_transitions": moments}
    books.change(invoice, "invoice.updated", auto_advance=False, **changes)
    books.emit("invoice.marked_uncollectible", invoice)
    return _settled(books, invoice)


def _settled(books: Books, invoice: Resource) -> Resource:
    subscription = _subscription(books, invoice)
    if subscription is None or subscription["latest_invoice"] != invoice["id"]:
        return invoice
    if subscription["status"] in ("past_due", "unpaid"):
        books.change(subscription, "customer.subscription.updated", status="active")
    return invoice


def overdue(books: Books, invoice: Resource) -> Resource:
    """An invoice that was sent is not paid when it is due."""
    books.change(invoice, None, _overdue=True)
    books.emit("invoice.overdue", invoice)
    subscription = _subscription(books, invoice)
    if subscription is not None and subscription["status"] == "active":
        books.change(subscription, "customer.subscription.updated", status="past_due")
    return invoice


def expire_incomplete(books: Books, subscription: Resource) -> Resource:
    """The first payment did not come within 23 hours: the end, and the invoice is void."""
    books.change(subscription, "customer.subscription.updated", status="incomplete_expired", ended_at=books.now())
    invoice = books.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        void(books, invoice)
    return subscription


def _cancel_intent(books: Books, invoice: Resource) -> None:
    if invoice["_payment_intent"] is None:
        return
    intent = books.get("payment_intent", invoice["_payment_intent"])
    if intent["status"] in intents.OPEN:
        reason = {"canceled_at": books.now(), "cancellation_reason": "void_invoice"}
        books.change(intent, None, status="canceled", **reason)
        books.emit("payment_intent.canceled", intent)


def _subscription(books: Books, invoice: Resource) -> Resource | None:
    identifier = invoice_objects.subscription_of(invoice)
    return None if identifier is None else books.get("subscription", identifier)


def _link(books: Books, invoice: Resource, intent: Resource) -> None:
    books.save(
        {
            "id": books.new_id("invoice_payment"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": books.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )
