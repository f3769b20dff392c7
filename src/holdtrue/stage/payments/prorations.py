"""What a change of items in the middle of a period costs (https://docs.stripe.com/billing/subscriptions/prorations)."""

from fractions import Fraction

from holdtrue.stage.payments import invoice_objects, invoices, paying, periods, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource, clone

BEHAVIORS = ("always_invoice", "create_prorations", "none")


def change_items(
    books: Books, subscription: Resource, data: list[Resource], *, behavior: str, at: int, **changes: object
) -> Resource | None:
    """Give a subscription other items, with whatever else changes, and bill the difference.

    Another interval begins a new period and is billed at once; else the difference waits for the next invoice, or gets
    one of its own where the behavior is `always_invoice`. Answers the invoice, if one was made.
    """
    before = subscription["items"]["data"]
    start, finish = subscriptions.period(subscription)
    billed = subscription["status"] in ("active", "past_due")
    restarts = billed and data[0]["price"]["recurring"] != before[0]["price"]["recurring"]
    if restarts:
        end = periods.end(books.now(), books.now(), data[0]["price"]["recurring"])
        data = [{**entry, "current_period_start": books.now(), "current_period_end": end} for entry in data]
        changes = {**changes, "billing_cycle_anchor": books.now()}
    was = clone(subscription)
    books.change(subscription, None, items={**subscription["items"], "data": data}, **changes)
    if behavior != "none" and billed and start <= at < finish:
        share = Fraction(finish - at, finish - start)
        for old, new in _pairs(before, data):
            if old is not None:
                _item(books, subscription, old, -share, (at, finish))
            if new is not None and not restarts:
                _item(books, subscription, new, share, (at, finish))
    waiting = invoice_objects.pending(books, subscription["customer"], subscription["id"])
    if not restarts and not (behavior == "always_invoice" and waiting):
        books.change(was, "customer.subscription.updated", **subscription)
        return None
    told = {"customer.subscription.updated": was}
    invoice = invoices.draft(books, subscription, "subscription_update", period=restarts, tell=told)
    return paying.collect(books, invoices.finalize(books, invoice))


def credit_all(books: Books, subscription: Resource) -> None:
    """Credit the unused time of everything, as a cancellation with `prorate` does."""
    start, finish = subscriptions.period(subscription)
    if subscription["status"] in ("active", "past_due") and finish > books.now():
        share = Fraction(finish - books.now(), finish - start)
        for entry in subscription["items"]["data"]:
            _item(books, subscription, entry, -share, (books.now(), finish))


def _pairs(before: list[Resource], after: list[Resource]) -> list[tuple[Resource | None, Resource | None]]:
    olds, news = ({entry["id"]: entry for entry in side} for side in (before, after))
    pairs = [(olds.get(identifier), news.get(identifier)) for identifier in {**olds, **news}]
    return [(old, new) for old, new in pairs if old is None or new is None or _differ(old, new)]


def _differ(old: Resource, new: Resource) -> bool:
    return bool(old["price"]["id"] != new["price"]["id"] or old["quantity"] != new["quantity"])


def _item(books: Books, subscription: Resource, entry: Resource, share: Fraction, span: tuple[int, int]) -> None:
    price, quantity = entry["price"], entry["quantity"]
    product = books.get("product", price["product"])["name"]
    word = "Unused" if share < 0 else "Remaining"
    times = f"{quantity} × " if quantity != 1 else ""
    invoice_objects.item(
        books,
        subscription["customer"],
        price,
        quantity,
        amount=round((price["unit_amount"] or 0) * quantity * share),
        description=f"{word} time on {times}{product}",
        discountable=False,
        metadata=subscription["metadata"],
        period={"start": span[0], "end": span[1]},
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        _subscription=subscription["id"],
        _entry=entry["id"],
    )
