"""What time brings: sessions expire, disputes fall due, payments are retried, subscriptions renew or end."""

from collections.abc import Callable, Iterator
from functools import partial

from holdtrue.stage.payments import (
    checkout,
    disputes,
    invoice_objects,
    invoices,
    paying,
    renewals,
    subscriptions,
)
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import AccountStore, Resource
from holdtrue.stage.payments.world import Event, World

_WARN_BEFORE = 3 * 24 * 3600
_COMPLETE_WITHIN = 23 * 3600
Due = tuple[int, Callable[[], object]]


def advance(world: World, open_books: Callable[[AccountStore], Books], seconds: float) -> list[Event]:
    """Move the clock forward, stopping at each moment at which something is due; answers the events on the way."""
    if seconds < 0:
        raise ValueError(f"cannot advance Stripe's clock by {seconds} s: restore a snapshot to go back in time")
    start, target = len(world.events), world.clock.now() + seconds
    while True:
        due = min(
            (one for store in world.accounts.values() for one in _due(open_books(store))),
            key=lambda one: one[0],
            default=None,
        )
        if due is None or due[0] > target:
            break
        world.clock.advance(max(0, due[0] - world.clock.now()))
        due[1]()
    world.clock.advance(max(0, target - world.clock.now()))
    return world.events[start:]


def _due(books: Books) -> Iterator[Due]:
    for session in books.all("checkout.session"):
        if session["status"] == "open":
            yield session["expires_at"], partial(checkout.expire, books, session)
    for dispute in books.all("dispute"):
        if dispute["status"] in disputes.UNANSWERED:
            yield dispute["evidence_details"]["due_by"], partial(disputes.lapse, books, dispute)
    for invoice in books.all("invoice"):
        yield from _invoice(books, invoice)
    for subscription in books.all("subscription"):
        yield from _subscription(books, subscription)


def _invoice(books: Books, invoice: Resource) -> Iterator[Due]:
    if invoice["status"] == "draft" and invoice["automatically_finalizes_at"] is not None:
        yield invoice["automatically_finalizes_at"], partial(_advance, books, invoice)
    if invoice["status"] != "open":
        return
    if invoice["next_payment_attempt"] is not None and _collected(books, invoice):
        yield invoice["next_payment_attempt"], partial(paying.collect, books, invoice)
    if invoice["due_date"] is not None and not invoice.get("_overdue"):
        yield invoice["due_date"], partial(invoices.overdue, books, invoice)


def _advance(books: Books, invoice: Resource) -> None:
    paying.collect(books, invoices.finalize(books, invoice))


def _collected(books: Books, invoice: Resource) -> bool:
    subscription = invoice_objects.subscription_of(invoice)
    return subscription is None or books.get("subscription", subscription)["status"] not in subscriptions.ENDED


def _subscription(books: Books, subscription: Resource) -> Iterator[Due]:
    status = subscription["status"]
    if status == "incomplete":
        yield subscription["created"] + _COMPLETE_WITHIN, partial(invoices.expire_incomplete, books, subscription)
    if status not in ("active", "trialing", "past_due", "unpaid"):
        return
    if status == "trialing" and not subscription.get("_warned"):
        yield subscription["trial_end"] - _WARN_BEFORE, partial(_warn, books, subscription)
    resumes = (subscription["pause_collection"] or {}).get("resumes_at")
    if resumes is not None:
        told = "customer.subscription.updated"
        yield int(resumes), partial(books.change, subscription, told, pause_collection=None)
    _, finish = subscriptions.period(subscription)
    ends = subscription["cancel_at"]
    if ends is not None and ends <= finish:
        yield ends, partial(subscriptions.end, books, subscription)
    else:
        yield finish, partial(renewals.renew, books, subscription)


def _warn(books: Books, subscription: Resource) -> None:
    books.change(subscription, None, _warned=True)
    books.emit("customer.subscription.trial_will_end", subscription)
