"""Orders: taken, cancelled, and paid for through payments."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from holdtrue.contract import Call
from holdtrue.modules.payments import abandon_checkout
from holdtrue.runtime import (
    Before,
    Conflict,
    Limit,
    NotFound,
    Router,
    Unit,
    UnitOfWork,
    Unprocessable,
    flow,
    newest_first,
    own,
)
from shop.contract import (
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDERS_READ,
    ORDERS_WRITE,
    PLACING,
    OrderTold,
)
from shop.fields import MOST_CENTS, Answer, Body, Email
from shop.models import Order, OrderItem
from shop.products import on_sale

router = Router(prefix="/orders", tags=("orders",))
_NEW = {"customer_email": "{unique}@customer.test", "items": [{"product_id": "{product_id}", "quantity": 1}]}


class ItemIn(Body):
    product_id: UUID
    quantity: Annotated[int, Field(strict=True, ge=1, le=10_000)]


class OrderIn(Body):
    customer_email: Email
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=50)]


class ItemOut(Answer):
    product_id: UUID | None
    name: str
    unit_cents: int
    quantity: int


class OrderOut(Answer):
    id: UUID
    customer_email: str
    status: str
    currency: str
    total_cents: int
    payment_id: UUID | None
    created_at: datetime
    items: list[ItemOut]


class OrderPage(Answer):
    items: list[OrderOut]


@flow(emits=(ORDER_PLACED,))
async def place(unit: UnitOfWork, wanted: OrderIn) -> Order:
    products = await on_sale(unit, {item.product_id for item in wanted.items})
    if any(item.product_id not in products for item in wanted.items):
        raise NotFound
    currencies = {product.currency for product in products.values()}
    total = sum(products[item.product_id].price_cents * item.quantity for item in wanted.items)
    if len(currencies) != 1 or total > MOST_CENTS:
        raise Unprocessable("An order has one currency, and is no larger than a payment can be.")
    order = Order(customer_email=wanted.customer_email, status="pending", currency=currencies.pop(), total_cents=total)
    for position, item in enumerate(wanted.items):
        product = products[item.product_id]
        order.items.append(
            OrderItem(
                position=position,
                product_id=product.id,
                name=product.name,
                unit_cents=product.price_cents,
                quantity=item.quantity,
            )
        )
    unit.session.add(order)
    await unit.guard(PLACING, told(order))
    await unit.emit(ORDER_PLACED, told(order))
    return order


@flow(emits=(ORDER_CANCELLED,))
async def cancel(unit: UnitOfWork, order_id: UUID) -> Order:
    order = await own(unit, Order, order_id, lock=True)
    if order.status != "pending":
        raise Conflict(f"The order is {order.status}.")
    order.status = "cancelled"
    await unit.emit(ORDER_CANCELLED, told(order))
    await abandon_checkout(unit, str(order_id))
    return order


@router.get("", access=ORDERS_READ)
async def list_orders(unit: Unit, before: Before = None, limit: Limit = 50) -> OrderPage:
    return OrderPage.model_validate({"items": await newest_first(unit, Order, before, limit)})


@router.post("", access=ORDERS_WRITE, status=201, rehearse=Call(json_=_NEW))
async def post(body: OrderIn, unit: Unit) -> OrderOut:
    return OrderOut.model_validate(await place(unit, body))


@router.get("/{order_id}", access=ORDERS_READ)
async def read(order_id: UUID, unit: Unit) -> OrderOut:
    return OrderOut.model_validate(await own(unit, Order, order_id))


@router.post("/{order_id}/cancel", access=ORDERS_WRITE)
async def post_cancel(order_id: UUID, unit: Unit) -> OrderOut:
    return OrderOut.model_validate(await cancel(unit, order_id))


def told(order: Order) -> OrderTold:
    """As events and hooks tell of it."""
    return OrderTold(order_id=order.id, total_cents=order.total_cents, currency=order.currency)
