"""One period of a subscription follows another (https://docs.stripe.com/billing/subscriptions/overview)."""

from holdtrue.stage.payments import invoices, paying, payment_methods, periods, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource, clone


def renew(books: Books, subscription: Resource) -> None:
    """Begin the next period and bill it; where a trial ends without a card, what its settings say."""
    if subscription["status"] == "trialing":
        method = payment_methods.usable(books, subscription["customer"], subscription["default_payment_method"])
        without = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if method is None and without == "cancel":
            subscriptions.end(books, subscription)
            return
        if method is None and without == "pause":
            subscriptions.pause(books, subscription, "trial_end_without_payment_method")
            return
    _, start = subscriptions.period(subscription)
    begin(books, subscription, start)


def begin(books: Books, subscription: Resource, start: int) -> None:
    """A period that begins at `start`, and its invoice."""
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    finish = periods.end(subscription["billing_cycle_anchor"], start, recurring)
    status = subscription["status"] if subscription["status"] in ("past_due", "unpaid") else "active"
    items = subscriptions.with_period(subscription, start, finish)
    before = clone(subscription)
    books.change(subscription, None, items=items, status=status)
    told = {"customer.subscription.updated": before}
    invoice = invoices.draft(books, subscription, "subscription_cycle", tell=told)
    paused = (subscription["pause_collection"] or {}).get("behavior")
    if paused == "keep_as_draft" or subscription["status"] == "unpaid":
        books.change(invoice, None, auto_advance=False)
    elif paused == "void":
        invoices.void(books, invoices.finalize(books, invoice, collect=False))
    elif paused == "mark_uncollectible":
        invoices.mark_uncollectible(books, invoices.finalize(books, invoice, collect=False))
    else:
        paying.collect(books, invoices.finalize(books, invoice))
