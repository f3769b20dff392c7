from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from plainshop.balance import locked_order
from plainshop.db import enter_shop
from plainshop.models import Order, Payment
from plainshop.unit import Actor, Unit


class UnknownObject(Exception):  # noqa: N818
    """The event is about something that is not, or not yet, in our database. Stripe is to send it again."""


def as_uuid(value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


def unit_for(session: Session, shop_id: UUID, request_id: str) -> Unit:
    enter_shop(session, shop_id)
    return Unit(session=session, shop_id=shop_id, actor=Actor(type="stripe"), request_id=request_id)


def order_under_lock(unit: Unit, order_id: UUID) -> Order:
    order = locked_order(unit, order_id)
    if order is None:
        raise UnknownObject("order")
    return order


def payment_of_intent(session: Session, intent: str | None, request_id: str) -> tuple[Unit, Payment]:
    """The payment and its shop, found by our own row; its order is locked."""
    where = select(Payment.shop_id, Payment.id, Payment.order_id).where(Payment.stripe_payment_intent == intent)
    found = session.execute(where).one_or_none() if intent else None
    if found is None:
        raise UnknownObject("payment")
    unit = unit_for(session, found.shop_id, request_id)
    order_under_lock(unit, found.order_id)
    payment = session.get(Payment, (found.shop_id, found.id), populate_existing=True)
    if payment is None:
        raise UnknownObject("payment")
    return unit, payment
