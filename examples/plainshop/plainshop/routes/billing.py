from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from plainshop.access import Gate, permission
from plainshop.billing import current_subscription, start_subscription
from plainshop.routes.checkout import CheckoutOut
from plainshop.routes.slots import provider_slot

router = APIRouter(prefix="/billing", tags=["billing"])
Managing = Annotated[Gate, Depends(permission("billing.manage"))]


class BillingOut(BaseModel):
    """`status` is Stripe's, or how far the purchase has come; `none` before the first."""

    plan: str | None = None
    status: str = "none"
    period_ends_at: datetime | None = None
    ends_with_period: bool = False


@router.post("/checkout", status_code=201, dependencies=[provider_slot])
def checkout(gate: Managing) -> CheckoutOut:
    page = start_subscription(gate)
    return CheckoutOut(checkout_url=page.url, session_id=page.session_id)


@router.get("")
def read(gate: Managing) -> BillingOut:
    with gate.enter() as unit:
        row = current_subscription(unit)
        if row is None:
            return BillingOut()
        return BillingOut(
            plan=row.plan,
            status=row.status,
            period_ends_at=row.period_ends_at,
            ends_with_period=row.ends_with_period,
        )
