"""What time brings: sessions expire, trials end, subscriptions renew or end."""

from collections.abc import Callable, Iterator
from functools import partial

from holdtrue.stage.payments import checkout, disputes, invoices, paying, payment_methods, periods, subscriptions
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import AccountStore, Resource
from holdtrue.stage.payments.world import Event, World

_WARN_BEFORE = 3 * 24 * 3600
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
    for subscription in books.all("subscription"):
        yield from _subscription(books, subscription)


def _subscription(books: Books, subscription: Resource) -> Iterator[Due]:
    if subscription["status"] not in ("active", "trialing", "past_due"):
        return
    if subscription["status"] == "trialing" and not subscription.get("_warned"):
        yield subscription["trial_end"] - _WARN_BEFORE, partial(_warn, books, subscription)
    _, finish = subscriptions.period(subscription)
    ends = subscription["cancel_at"]
    if ends is not None and ends <= finish:
        yield ends, partial(subscriptions.end, books, subscription)
    else:
        yield finish, partial(_renew, books, subscription)


def _warn(books: Books, subscription: Resource) -> None:
    books.change(subscription, None, _warned=True)
    books.emit("customer.subscription.trial_will_end", subscription)


def _renew(books: Books, subscription: Resource) -> None:
    _, start = subscriptions.period(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    finish = periods.end(subscription["billing_cycle_anchor"], start, recurring)
    status = "active" if subscription["status"] == "trialing" else subscription["status"]
    items = subscriptions.with_period(subscription, start, finish)
    books.change(subscription, "customer.subscription.updated", items=items, status=status)
    invoice = invoices.issue(books, subscription, "subscription_cycle")
    if invoice["status"] != "open":
        return
    method = payment_methods.usable(books, subscription["customer"], subscription["default_payment_method"])
    if method is None:
        invoices.payment_failed(books, invoice)
    else:
        paying.pay_invoice(books, invoice, method)
