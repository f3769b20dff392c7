from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from plainshop.db import Database
from plainshop.events.checkout import checkout_event
from plainshop.events.common import UnknownObject
from plainshop.events.refunds import charge_refunded, dispute_event, refund_event
from plainshop.models import StripeEvent

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


class EventData(BaseModel):
    object: dict[str, Any]


class StripeMessage(BaseModel):
    """The envelope of a snapshot event (https://docs.stripe.com/api/events/object)."""

    id: str = Field(min_length=1, max_length=255)
    type: str = Field(max_length=255)
    livemode: bool
    account: str | None = None
    data: EventData


def apply_event(database: Database, message: StripeMessage, *, live: bool, request_id: str) -> Outcome:
    """Apply an event once; committed on return. Raises UnknownObject when its object is not (yet) ours."""
    # We use no Connect, and test money pays for nothing real.
    ours = message.livemode == live and message.account is None
    handler = HANDLERS.get(message.type) if ours else None
    outcome: Outcome = "applied" if handler else "ignored"
    with database.system() as session:
        # First, so that a second delivery waits here for the outcome of the first.
        row = insert(StripeEvent).values(event_id=message.id, type=message.type, outcome=outcome)
        if session.scalar(row.on_conflict_do_nothing().returning(StripeEvent.event_id)) is None:
            return "duplicate"
        if handler:
            handler(session, message.type, request_id, message.data.object)
    return outcome


__all__ = ["Outcome", "StripeMessage", "UnknownObject", "apply_event"]
