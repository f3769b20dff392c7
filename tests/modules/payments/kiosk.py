"""An app that sells: orders with a price, and a plan. It counts what it grants, so that a test can see it twice."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from sqlalchemy import MetaData, select
from sqlalchemy.orm import Mapped

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Doors
from holdtrue.contract import Contract, Event, Payload, Table
from holdtrue.modules.payments import (
    CHECKOUT_LINES,
    PAYMENT_SETTLED,
    REFUND_ALLOWED,
    Line,
    Payments,
    Purchase,
    RefundAsked,
    Settlement,
)
from holdtrue.runtime import Forbidden, Model, Module, TenantRow, UnitOfWork, flow


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Order(TenantRow, Base):
    __tablename__ = "orders"
    price: Mapped[int]
    status: Mapped[str]
    granted: Mapped[int]


class OrderTold(Payload):
    order_id: UUID


ORDER_PAID = Event(name="kiosk.order_paid", payload=OrderTold, audited=True, subject="order_id")


async def _locked(unit: UnitOfWork, reference: str) -> Order | None:
    try:
        order_id = UUID(reference)
    except ValueError:
        return None
    query = select(Order).where(Order.id == order_id).with_for_update()
    return await unit.session.scalar(query.execution_options(populate_existing=True))


async def price(unit: UnitOfWork, purchase: Purchase) -> Purchase:
    if purchase.kind == "subscription":
        lines = (Line(name="Pro", unit_amount=2900),) if purchase.reference == "pro" else ()
        return purchase.model_copy(update={"lines": lines})
    order = await _locked(unit, purchase.reference)
    if order is None or order.status != "pending":
        return purchase
    lines = (Line(name="Mug", unit_amount=order.price),)
    return purchase.model_copy(update={"lines": lines, "email": "c@customer.example"})


async def fulfil(unit: UnitOfWork, money: Settlement) -> Settlement:
    order = await _locked(unit, money.reference)
    if order is None or order.status != "pending":
        return money.model_copy(update={"accepted": False})
    await _pay(unit, order)
    return money


@flow(emits=(ORDER_PAID,))
async def _pay(unit: UnitOfWork, order: Order) -> None:
    order.status = "paid"
    order.granted += 1
    await unit.emit(ORDER_PAID, OrderTold(order_id=order.id))


async def allow(unit: UnitOfWork, asked: RefundAsked) -> None:
    if asked.reason == "forbidden":
        raise Forbidden("The kiosk gives nothing back for that.")


def kiosk() -> Module:
    return Module(
        contract=Contract(
            name="kiosk",
            version="1.0.0",
            requires=("payments>=1.0",),
            events=(ORDER_PAID,),
            binds=(CHECKOUT_LINES, PAYMENT_SETTLED, REFUND_ALLOWED),
            tables=(Table(name="orders"),),
        ),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "kiosk_migrations",
        bindings=(CHECKOUT_LINES.bind(price), PAYMENT_SETTLED.bind(fulfil), REFUND_ALLOWED.bind(allow)),
    )


def assembled() -> Assembly:
    return compose(kiosk(), Payments(sample="{order_id}", plan="pro", approve_above=5000), Doors(), name="kiosk")
