"""What the shop decides in the modules' hooks."""

import logging
from uuid import UUID

from holdtrue.modules.auth import Arrival, email_of
from holdtrue.modules.payments import Line, Purchase, Settlement
from holdtrue.modules.tenancy import Joining
from holdtrue.modules.tenancy.contract import TenantCreated
from holdtrue.runtime import Conflict, NotFound, UnitOfWork, Unprocessable, Work, flow, own
from shop.contract import ORDER_PAID, RECEIPT, WELCOME, OrderTold, Receipt, Welcome
from shop.models import Order
from shop.orders import told

SEATS = 50
LEAST_CENTS = 50
"""Stripe charges no less in most currencies (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
log = logging.getLogger(__name__)


async def has_a_seat(unit: UnitOfWork, joining: Joining) -> None:
    """Guard: a shop has so many members at most."""
    if joining.members >= SEATS:
        raise Conflict("All seats of this shop are taken.")


async def is_payable(unit: UnitOfWork, order: OrderTold) -> None:
    """Guard: an order that nobody could pay for is not taken."""
    if order.total_cents < LEAST_CENTS:
        raise Unprocessable("The order is too small to be paid.")


async def price_of_order(unit: UnitOfWork, purchase: Purchase) -> Purchase:
    """Transform: an order that is to be paid costs what was agreed when it was placed."""
    order = await _order(unit, purchase.reference)
    if order.status != "pending":
        raise Conflict(f"The order is {order.status}.")
    lines = tuple(Line(name=item.name, unit_amount=item.unit_cents, quantity=item.quantity) for item in order.items)
    return purchase.model_copy(update={"lines": lines, "currency": order.currency, "email": order.customer_email})


async def pay_order(unit: UnitOfWork, settlement: Settlement) -> Settlement:
    """Transform: money for an order that is cancelled or paid already is not accepted, and goes back by itself."""
    order = await _order(unit, settlement.reference)
    if order.status != "pending":
        return settlement.model_copy(update={"accepted": False})
    await _fulfil(unit, order, settlement.payment_id)
    return settlement


@flow(emits=(ORDER_PAID,))
async def _fulfil(unit: UnitOfWork, order: Order, payment_id: UUID) -> None:
    order.status, order.payment_id = "paid", payment_id
    await unit.emit(ORDER_PAID, told(order))


async def send_receipt(work: Work, paid: OrderTold) -> None:
    """Event: the customer gets a receipt."""
    digits = 0 if paid.currency == "jpy" else 2
    amount = f"{paid.total_cents / 10**digits:.{digits}f} {paid.currency.upper()}"
    async with work.finish() as unit:
        order = await own(unit, Order, paid.order_id)
        await unit.mail(RECEIPT, to=order.customer_email, payload=Receipt(order_id=order.id, amount=amount))


async def send_welcome(work: Work, created: TenantCreated) -> None:
    """Event: who opened a shop gets a mail."""
    async with work.finish() as unit:
        if address := await email_of(unit, created.founder_id):
            await unit.mail(WELCOME, to=address, payload=Welcome(shop=created.slug))


async def log_arrival(work: Work, arrival: Arrival) -> None:
    """Observe: sign-ins go where somebody looks for odd ones."""
    log.info("signed in", extra={"user": str(arrival.user_id), "session": str(arrival.session_id)})


async def _order(unit: UnitOfWork, reference: str) -> Order:
    """Locked: an order is paid, cancelled, or asked to be paid, one after the other."""
    try:
        order_id = UUID(reference)
    except ValueError:
        raise NotFound from None
    return await own(unit, Order, order_id, lock=True)
