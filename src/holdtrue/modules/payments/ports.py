"""What the provider tells, as far as payments relies on it; everything else it sends is left out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Fact(BaseModel):
    """A part of an object of Stripe, API version ``adapters.stripe.API_VERSION``."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _identifier(value: Any) -> Any:
    """An id stays one where the object was expanded."""
    return value.get("id") if isinstance(value, dict) else value


Identifier = Annotated[str, BeforeValidator(_identifier)]


class Intent(Fact):
    """https://docs.stripe.com/api/payment_intents/object"""

    id: str
    status: str


class Session(Fact):
    """https://docs.stripe.com/api/checkout/sessions/object"""

    id: str
    mode: str
    status: str | None = None
    payment_status: str = "unpaid"
    client_reference_id: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    url: str | None = None
    payment_intent: Intent | str | None = None
    subscription: Identifier | None = None

    @property
    def intent(self) -> Intent | None:
        """The intent, which is always read with the session."""
        return self.payment_intent if isinstance(self.payment_intent, Intent) else None

    @property
    def standing(self) -> str:
        """open, processing, complete, failed or expired: what the session and its intent say together."""
        if self.status == "expired":
            return "expired"
        if self.status != "complete":
            return "open"
        if self.payment_status in ("paid", "no_payment_required"):
            return "complete"
        gone = self.intent is not None and self.intent.status in ("requires_payment_method", "canceled")
        return "failed" if gone else "processing"


class Refund(Fact):
    """https://docs.stripe.com/api/refunds/object"""

    id: str
    amount: int
    currency: str
    status: str | None = None
    payment_intent: Identifier | None = None
    metadata: dict[str, str] | None = None


class Dispute(Fact):
    """https://docs.stripe.com/api/disputes/object"""

    id: str
    amount: int
    currency: str
    status: str
    payment_intent: Identifier | None = None

    @property
    def standing(self) -> str:
        """inquiry (no money moved), open, closed, won or lost."""
        if self.status in ("won", "lost"):
            return self.status
        if self.status in ("warning_closed", "prevented"):
            return "closed"
        return "inquiry" if self.status.startswith("warning_") else "open"


class _Item(Fact):
    current_period_end: int


class _Items(Fact):
    data: list[_Item] = Field(min_length=1)


class Subscription(Fact):
    """https://docs.stripe.com/api/subscriptions/object; the period is the items' since 2025-03-31.basil."""

    id: str
    customer: Identifier
    status: str
    cancel_at_period_end: bool = False
    cancel_at: int | None = None
    items: _Items
    metadata: dict[str, str] = {}

    @property
    def paid_until(self) -> datetime:
        """The end of the current period."""
        return datetime.fromtimestamp(max(item.current_period_end for item in self.items.data), UTC)


class _Payment(Fact):
    payment_intent: Identifier | None = None


class _InvoicePayment(Fact):
    status: str
    amount_paid: int | None = None
    payment: _Payment = _Payment()


class _InvoicePayments(Fact):
    data: list[_InvoicePayment] = []


class _Details(Fact):
    subscription: Identifier | None = None


class _Parent(Fact):
    subscription_details: _Details | None = None


class Invoice(Fact):
    """https://docs.stripe.com/api/invoices/object"""

    id: str
    customer: Identifier | None = None
    currency: str
    status: str | None = None
    parent: _Parent | None = None
    payments: _InvoicePayments = _InvoicePayments()

    @property
    def subscription(self) -> str | None:
        """What it is for."""
        details = self.parent.subscription_details if self.parent else None
        return details.subscription if details else None

    @property
    def paid_by(self) -> list[tuple[str, int]]:
        """(payment intent, amount) of what was paid."""
        return [
            (each.payment.payment_intent, each.amount_paid)
            for each in self.payments.data
            if each.status == "paid" and each.payment.payment_intent and each.amount_paid
        ]


class _Object(Fact):
    id: str | None = None


class _Data(Fact):
    object: _Object = _Object()


class Event(Fact):
    """https://docs.stripe.com/api/events/object: its envelope; its object is read again, never believed."""

    id: Annotated[str, Field(min_length=1, max_length=255)]
    type: Annotated[str, Field(min_length=1, max_length=255)]
    livemode: bool
    account: str | None = None
    data: _Data
