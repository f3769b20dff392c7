from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy import select

from plainshop.access import Gate, permission
from plainshop.balance import accepted_payment, balance_of, locked_order
from plainshop.checkouts import active_checkout, expire
from plainshop.errors import Conflict, NotFound, Unprocessable
from plainshop.fields import Before, Body, Email, Limit
from plainshop.models import Order, OrderItem, Product
from plainshop.paging import newest_first
from plainshop.routes.slots import provider_slot
from plainshop.unit import Unit

router = APIRouter(prefix="/orders", tags=["orders"])
Reading = Annotated[Gate, Depends(permission("orders.read"))]
Writing = Annotated[Gate, Depends(permission("orders.write"))]
MOST_CENTS = 99_999_999


class ItemIn(Body):
    product_id: UUID
    quantity: Annotated[int, Field(strict=True, ge=1, le=10_000)]


class OrderIn(Body):
    customer_email: Email
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=50)]


class ItemOut(BaseModel):
    product_id: UUID | None
    name: str
    unit_cents: int
    quantity: int


class OrderOut(BaseModel):
    id: UUID
    customer_email: str
    status: str
    currency: str
    total_cents: int
    created_at: datetime
    items: list[ItemOut]


class OrderDetail(OrderOut):
    paid_cents: int
    refunded_cents: int
    refund_pending_cents: int
    disputed: bool


class OrderPage(BaseModel):
    items: list[OrderOut]


@router.post("", status_code=201)
def place(body: OrderIn, gate: Writing) -> OrderDetail:
    with gate.enter() as unit:
        products = _catalogue(unit, {item.product_id for item in body.items})
        currencies = {product.currency for product in products.values()}
        total = sum(products[item.product_id].price_cents * item.quantity for item in body.items)
        if len(currencies) != 1:
            raise Unprocessable("All items of an order must have one currency.")
        if total > MOST_CENTS:
            raise Unprocessable("The order is too large.")
        order = Order(
            shop_id=unit.shop_id,
            id=uuid4(),
            customer_email=body.customer_email,
            status="pending",
            currency=currencies.pop(),
            total_cents=total,
        )
        order.items = [
            OrderItem(
                shop_id=unit.shop_id,
                position=position,
                product_id=item.product_id,
                name=products[item.product_id].name,
                unit_cents=products[item.product_id].price_cents,
                quantity=item.quantity,
            )
            for position, item in enumerate(body.items)
        ]
        unit.session.add(order)
        unit.record("order.placed", "order", order.id, total_cents=total)
        unit.session.flush()
        return _detail(unit, order)


@router.get("")
def list_orders(gate: Reading, before: Before = None, limit: Limit = 50) -> OrderPage:
    with gate.enter() as unit:
        rows = newest_first(unit.session, Order, Order.created_at, unit.shop_id, before, limit)
        return OrderPage(items=[OrderOut(**_plain(order)) for order in rows])


@router.get("/{order_id}")
def read(order_id: UUID, gate: Reading) -> OrderDetail:
    with gate.enter() as unit:
        order = unit.session.scalar(select(Order).where(Order.shop_id == unit.shop_id, Order.id == order_id))
        if order is None:
            raise NotFound
        return _detail(unit, order)


@router.post("/{order_id}/cancel", dependencies=[provider_slot])
def cancel(order_id: UUID, gate: Writing) -> OrderDetail:
    with gate.enter() as unit:
        order = locked_order(unit, order_id)
        if order is None:
            raise NotFound
        if order.status != "pending":
            raise Conflict(f"The order is {order.status}.")
        order.status = "cancelled"
        unit.record("order.cancelled", "order", order_id)
        checkout = active_checkout(unit, order_id)
        session_id = checkout.stripe_session_id if checkout else None
        detail = _detail(unit, order)
    if session_id:
        expire(gate.context, session_id)
    return detail


def _catalogue(unit: Unit, wanted: set[UUID]) -> dict[UUID, Product]:
    """Locked against removal until the order refers to them."""
    query = select(Product).where(Product.shop_id == unit.shop_id, Product.id.in_(wanted))
    found = unit.session.scalars(query.order_by(Product.id).with_for_update(read=True, key_share=True))
    products = {product.id: product for product in found}
    if products.keys() != wanted:
        raise NotFound
    return products


def _plain(order: Order) -> dict[str, object]:
    items = [
        ItemOut(product_id=i.product_id, name=i.name, unit_cents=i.unit_cents, quantity=i.quantity) for i in order.items
    ]
    names = ("id", "customer_email", "status", "currency", "total_cents", "created_at")
    return {name: getattr(order, name) for name in names} | {"items": items}


def _detail(unit: Unit, order: Order) -> OrderDetail:
    payment = accepted_payment(unit.session, unit.shop_id, order.id)
    balance = balance_of(unit.session, payment) if payment else None
    return OrderDetail(
        **_plain(order),
        paid_cents=balance.paid_cents if balance else 0,
        refunded_cents=balance.refunded_cents if balance else 0,
        refund_pending_cents=balance.reserved_cents if balance else 0,
        disputed=balance.disputed if balance else False,
    )
