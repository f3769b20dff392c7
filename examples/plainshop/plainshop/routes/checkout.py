"""Money in, money out. Routes of orders, kept apart because they concern Stripe."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from plainshop.access import Gate, permission
from plainshop.balance import accepted_payment, balance_of, intend_refund, locked_order
from plainshop.checkouts import start_checkout
from plainshop.errors import Conflict, NotFound
from plainshop.fields import Body, Cents
from plainshop.routes.slots import provider_slot

router = APIRouter(prefix="/orders/{order_id}", tags=["orders"])


class CheckoutOut(BaseModel):
    checkout_url: str
    session_id: str


class RefundIn(Body):
    amount_cents: Cents


class RefundOut(BaseModel):
    id: UUID
    status: str
    amount_cents: int


@router.post("/checkout", status_code=201, dependencies=[provider_slot])
def checkout(order_id: UUID, gate: Annotated[Gate, Depends(permission("orders.write"))]) -> CheckoutOut:
    page = start_checkout(gate, order_id)
    return CheckoutOut(checkout_url=page.url, session_id=page.session_id)


@router.post("/refund", status_code=202)
def refund(order_id: UUID, body: RefundIn, gate: Annotated[Gate, Depends(permission("orders.refund"))]) -> RefundOut:
    with gate.enter() as unit:
        if locked_order(unit, order_id) is None:
            raise NotFound
        payment = accepted_payment(unit.session, unit.shop_id, order_id)
        if payment is None:
            raise Conflict("The order is not paid.")
        balance = balance_of(unit.session, payment)
        if balance.disputed:
            raise Conflict("The payment is disputed; a refund now could be paid twice.")
        if body.amount_cents > balance.refundable_cents:
            raise Conflict(f"At most {balance.refundable_cents} can be refunded.")
        intent = intend_refund(unit, payment, body.amount_cents)
        return RefundOut(id=intent.id, status=intent.status, amount_cents=intent.amount_cents)
