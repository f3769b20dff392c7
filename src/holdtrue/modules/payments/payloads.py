"""What crosses the hooks, events and jobs of payments."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from holdtrue.contract import Payload

MinorUnits = Annotated[int, Field(strict=True, ge=1, le=99_999_999)]
"""An amount in the currency's smallest unit (https://docs.stripe.com/currencies#zero-decimal): never a float."""
Currency = Annotated[str, Field(pattern=r"^[a-z]{3}$")]
Kind = Literal["payment", "subscription"]


class Line(Payload):
    """One thing bought, and its price."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    unit_amount: MinorUnits
    quantity: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1


class Purchase(Payload):
    """Comes with ``kind`` and ``reference`` and no price; the binding that knows the reference fills in the rest."""

    kind: Kind
    reference: str
    """What the app calls the thing: an order's id, a plan's name."""
    lines: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    currency: Currency = "eur"
    interval: Literal["month", "year"] = "month"
    """How often a subscription is paid."""
    email: str | None = None
    """The customer's, for Stripe's page and receipt."""

    @property
    def total(self) -> int:
        """In minor units."""
        return sum(line.unit_amount * line.quantity for line in self.lines)


class Settlement(Payload):
    """Money that has arrived for a one-off purchase."""

    payment_id: UUID
    reference: str
    amount: int
    currency: str
    accepted: bool = True
    """Return False when the purchase needs no money any more: it goes back by itself."""


class RefundAsked(Payload):
    """A refund that somebody asks for."""

    payment_id: UUID
    reference: str
    amount: int
    currency: str
    reason: str


class CheckoutTold(Payload):
    checkout_id: UUID
    kind: Kind
    reference: str
    amount: int
    currency: str
    status: str


class PaymentTold(Payload):
    payment_id: UUID
    reference: str
    amount: int
    currency: str
    accepted: bool


class RefundTold(Payload):
    refund_id: UUID
    payment_id: UUID
    reference: str
    amount: int
    currency: str
    status: str
    by: str
    """Who asked, approved or declined: ``user:…``, ``system:…``, ``provider:stripe`` for one made in its dashboard."""


class DisputeTold(Payload):
    dispute_id: UUID
    payment_id: UUID
    reference: str
    amount: int
    currency: str
    status: str


class SubscriptionTold(Payload):
    subscription_id: UUID
    plan: str
    status: str
    entitled: bool
    """Whether the tenant may use what it subscribed to."""
    cancels: bool
    """Whether it ends with the period that is paid."""


class Notice(Payload):
    """That something changed at Stripe, and nothing of what Stripe said about it: the object is read again."""

    type: str
    object_id: str


class RefundDue(Payload):
    refund_id: UUID


class CheckoutDue(Payload):
    checkout_id: UUID


class SubscriptionDue(Payload):
    subscription_id: UUID


class Sweep(Payload):
    """Nothing: where the last run came to is in the database."""
