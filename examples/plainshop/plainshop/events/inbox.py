from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from plainshop.db import Database
from plainshop.events.checkout import checkout_event
from plainshop.events.common import UnknownObject
from plainshop.events.refunds import charge_refunded, dispute_event, refund_event
from plainshop.events.subscriptions import session_expired, subscription_now, subscription_of
from plainshop.models import StripeEvent
from plainshop.models.base import now
from plainshop.stripe_api import StripeApi

Outcome = Literal["applied", "ignored", "duplicate"]
Handler = Callable[[Session, str, str, dict[str, Any]], None]

HANDLERS: dict[str, Handler] = {
    "checkout.session.completed": checkout_event,
    "checkout.session.async_payment_succeeded": checkout_event,
    "checkout.session.async_payment_failed": checkout_event,
    "checkout.session.expired": checkout_event,
    "charge.refunded": charge_refunded,
    "refund.created": refund_event,
    "refund.updated": refund_event,
    "refund.failed": refund_event,
    "charge.refund.updated": refund_event,
    "charge.dispute.created": dispute_event,
    "charge.dispute.updated": dispute_event,
    "charge.dispute.funds_withdrawn": dispute_event,
    "charge.dispute.funds_reinstated": dispute_event,
    "charge.dispute.closed": dispute_event,
}
SUBSCRIPTION_EVENTS = {
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
}


class EventData(BaseModel):
    object: dict[str, Any]


class StripeMessage(BaseModel):
    """The envelope of a snapshot event (https://docs.stripe.com/api/events/object)."""

    id: str = Field(min_length=1, max_length=255)
    type: str = Field(max_length=255)
    livemode: bool
    account: str | None = None
    data: EventData


def apply_event(database: Database, api: StripeApi, message: StripeMessage, *, live: bool, request_id: str) -> Outcome:
    """Apply an event once; committed on return. Raises UnknownObject when its object is not (yet) ours.

    Raises stripe.StripeError when Stripe is needed, and does not answer.
    """
    # We use no Connect, and test money pays for nothing real.
    ours = message.livemode == live and message.account is None
    apply = _prepared(api, message, request_id) if ours else None
    outcome: Outcome = "applied" if apply else "ignored"
    with database.system() as session:
        # First, so that a second delivery waits here for the outcome of the first.
        row = insert(StripeEvent).values(event_id=message.id, type=message.type, outcome=outcome)
        if session.scalar(row.on_conflict_do_nothing().returning(StripeEvent.event_id)) is None:
            return "duplicate"
        if apply:
            apply(session)
    return outcome


def _prepared(api: StripeApi, message: StripeMessage, request_id: str) -> Callable[[Session], None] | None:
    """What to do in the transaction; None when we do not listen to such events. Whatever Stripe has to be asked is
    asked here, before it."""
    body = message.data.object
    if message.type in SUBSCRIPTION_EVENTS or (message.type in HANDLERS and body.get("mode") == "subscription"):
        subscription_id = subscription_of(message.type, body)
        if subscription_id is None:
            return partial(session_expired, request_id=request_id, body=body)
        asked_at = now()
        answer = api.subscription(subscription_id)
        if answer is None:
            raise UnknownObject("subscription")
        return partial(subscription_now, request_id=request_id, body=answer, asked_at=asked_at)
    handler = HANDLERS.get(message.type)
    if handler is None:
        return None
    return lambda session: handler(session, message.type, request_id, body)


__all__ = ["Outcome", "StripeMessage", "UnknownObject", "apply_event"]
