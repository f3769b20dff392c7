"""Paying an order: at most one active Checkout session, whatever is clicked how often."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import stripe
from sqlalchemy import select

from plainshop.access import Gate
from plainshop.balance import locked_order
from plainshop.context import Context
from plainshop.errors import Conflict, NotFound, ProviderTrouble, Unavailable
from plainshop.models import Checkout
from plainshop.models.base import now
from plainshop.stripe_api import HostedPage, Line
from plainshop.unit import Unit

log = logging.getLogger(__name__)
# Stripe keeps a session open for 24 hours at most, and an idempotency key for 24 hours at least.
OPEN_FOR = timedelta(hours=23)
ACTIVE = ("creating", "open", "processing")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """All that Stripe is told, fixed by the database: a repetition says exactly the same."""

    checkout_id: UUID
    order_id: UUID
    email: str
    currency: str
    lines: list[Line]
    expires_at: datetime


def start_checkout(gate: Gate, order_id: UUID) -> HostedPage:
    with gate.enter() as unit:
        begun = _begin(unit, order_id)
    if isinstance(begun, HostedPage):
        return begun
    page = _ask_stripe(gate, begun)
    with gate.enter() as unit:
        kept = _keep(unit, begun, page)
    if not kept:
        expire(gate.context, page.session_id)
        raise Conflict("The order was cancelled or paid in the meantime.")
    return page


def active_checkout(unit: Unit, order_id: UUID) -> Checkout | None:
    return unit.session.scalar(
        select(Checkout)
        .where(Checkout.shop_id == unit.shop_id, Checkout.order_id == order_id, Checkout.status.in_(ACTIVE))
        .execution_options(populate_existing=True)
    )


def expire(context: Context, session_id: str) -> None:
    """As far as Stripe allows it. Should the customer pay all the same, the payment is refunded on arrival."""
    try:
        context.stripe.expire_session(session_id)
    except stripe.StripeError as error:
        log.warning("could not expire a checkout session: %s", type(error).__name__)


def _begin(unit: Unit, order_id: UUID) -> Attempt | HostedPage:
    order = locked_order(unit, order_id)
    if order is None:
        raise NotFound
    if order.status != "pending":
        raise Conflict(f"The order is {order.status}.")
    checkout = active_checkout(unit, order_id)
    if checkout and checkout.status == "processing":
        raise Conflict("A payment for this order is being processed.")
    if checkout and checkout.expires_at <= now():
        checkout.status = "expired"
        unit.session.flush()
        checkout = None
    if checkout and checkout.stripe_session_id and checkout.url:
        return HostedPage(session_id=checkout.stripe_session_id, url=checkout.url)
    if checkout is None:
        checkout = Checkout(
            shop_id=unit.shop_id, id=uuid4(), order_id=order_id, status="creating", expires_at=now() + OPEN_FOR
        )
        unit.session.add(checkout)
        unit.record("checkout.started", "order", order_id, checkout_id=str(checkout.id))
    return Attempt(
        checkout_id=checkout.id,
        order_id=order_id,
        email=order.customer_email,
        currency=order.currency,
        lines=[Line(name=i.name, unit_cents=i.unit_cents, quantity=i.quantity) for i in order.items],
        expires_at=checkout.expires_at,
    )


@contextmanager
def asked_of_stripe(refused: Callable[[], None]) -> Iterator[None]:
    """Trouble with Stripe, as the caller hears of it; `refused` is called when the same key would be refused again."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        # Nothing known: the next click repeats this attempt under the same key.
        raise Unavailable("The payment provider does not answer; try again.") from error
    except stripe.StripeError as error:
        log.warning("Stripe refused what a checkout needs: %s", error.code or type(error).__name__)
        if getattr(error, "http_status", None) != 409:
            refused()
        raise ProviderTrouble("The payment provider refused; try again.") from error


def _ask_stripe(gate: Gate, attempt: Attempt) -> HostedPage:
    with asked_of_stripe(lambda: _abandon(gate, attempt)):
        return gate.context.stripe.create_session(
            checkout_id=attempt.checkout_id,
            order_id=attempt.order_id,
            email=attempt.email,
            currency=attempt.currency,
            lines=attempt.lines,
            expires_at=attempt.expires_at,
        )


def _abandon(gate: Gate, attempt: Attempt) -> None:
    """Stripe would repeat its refusal for this key. Nobody was ever shown the session, so a new one is safe."""
    with gate.enter() as unit:
        locked_order(unit, attempt.order_id)
        checkout = active_checkout(unit, attempt.order_id)
        if checkout and checkout.id == attempt.checkout_id and checkout.status == "creating":
            checkout.status = "failed"
            unit.record("checkout.failed", "order", attempt.order_id, checkout_id=str(checkout.id))


def _keep(unit: Unit, attempt: Attempt, page: HostedPage) -> bool:
    """Whether the page may be shown. Stripe's webhook may have been here first."""
    order = locked_order(unit, attempt.order_id)
    checkout = unit.session.get(Checkout, (unit.shop_id, attempt.checkout_id), populate_existing=True)
    if order is None or checkout is None or checkout.stripe_session_id not in {None, page.session_id}:
        return False
    if checkout.stripe_session_id is None:
        if checkout.status == "creating":
            checkout.status = "open"
        checkout.stripe_session_id = page.session_id
    checkout.url = page.url
    arrived_first = order.status == "paid" and checkout.status == "complete"
    return arrived_first or (order.status == "pending" and checkout.status in ACTIVE)
