"""What requests send and answers show."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from holdtrue.modules.payments.payloads import MinorUnits


class Body(BaseModel):
    """What a request sends: exactly the declared fields."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CheckoutIn(Body):
    """What, and not for how much: that is the app's to say."""

    reference: Annotated[str, Field(min_length=1, max_length=200)]


class PlanIn(Body):
    plan: Annotated[str, Field(min_length=1, max_length=200)]


class RefundIn(Body):
    amount: MinorUnits | None = None
    """In minor units; all that is left when absent."""
    reason: Annotated[str, Field(max_length=500)] = ""


class DecisionIn(Body):
    approve: Annotated[bool, Field(strict=True)]


class PageOut(Answer):
    checkout_id: UUID
    url: str


class PaymentOut(Answer):
    id: UUID
    reference: str
    amount: int
    currency: str
    accepted: bool
    created_at: datetime


class RefundOut(Answer):
    id: UUID
    payment_id: UUID
    amount: int
    status: str
    reason: str
    requested_by: str
    decided_by: str | None
    created_at: datetime


class DisputeOut(Answer):
    id: UUID
    amount: int
    status: str
    created_at: datetime


class PaymentDetail(PaymentOut):
    refunded: int
    reserved: int
    left: int
    disputed: bool
    refunds: list[RefundOut]
    disputes: list[DisputeOut]


class SubscriptionOut(Answer):
    plan: str
    status: str
    entitled: bool
    cancels: bool
    paid_until: datetime


class PaymentList(Answer):
    items: list[PaymentOut]


class RefundList(Answer):
    items: list[RefundOut]
