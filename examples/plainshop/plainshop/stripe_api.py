"""The calls to Stripe, each with an idempotency key made from a row of ours. Never call one inside a transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import stripe

from plainshop.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Line:
    name: str
    unit_cents: int
    quantity: int


@dataclass(frozen=True, kw_only=True)
class HostedPage:
    session_id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class ProviderRefund:
    id: str
    status: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    name: str
    monthly_cents: int
    currency: str


class StripeApi:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # The default of 80 seconds would tie up a thread for longer than anybody waits.
        http = stripe.RequestsClient(timeout=15)
        self._client = stripe.StripeClient(settings.stripe_api_key.get_secret_value(), http_client=http)

    def create_session(
        self, *, checkout_id: UUID, order_id: UUID, email: str, currency: str, lines: list[Line], expires_at: datetime
    ) -> HostedPage:
        session = self._client.v1.checkout.sessions.create(
            {
                "mode": "payment",
                "client_reference_id": str(checkout_id),
                "customer_email": email,
                "line_items": [
                    {
                        "quantity": line.quantity,
                        "price_data": {
                            "currency": currency,
                            "unit_amount": line.unit_cents,
                            "product_data": {"name": line.name},
                        },
                    }
                    for line in lines
                ],
                "success_url": self._settings.link(f"/orders/{order_id}/thanks"),
                "cancel_url": self._settings.link(f"/orders/{order_id}"),
                "expires_at": int(expires_at.timestamp()),
            },
            {"idempotency_key": f"checkout-{checkout_id}"},
        )
        return HostedPage(session_id=session.id, url=session.url or "")

    def create_customer(self, *, shop_id: UUID, name: str) -> str:
        made = self._client.v1.customers.create({"name": name}, {"idempotency_key": f"customer-{shop_id}"})
        return made.id

    def create_subscription_session(
        self, *, subscription_id: UUID, customer_id: str, plan: Plan, expires_at: datetime
    ) -> HostedPage:
        session = self._client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "client_reference_id": str(subscription_id),
                "customer": customer_id,
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": plan.currency,
                            "unit_amount": plan.monthly_cents,
                            "recurring": {"interval": "month"},
                            "product_data": {"name": f"plainshop {plan.name}"},
                        },
                    }
                ],
                "subscription_data": {"metadata": {"attempt": str(subscription_id)}},
                "success_url": self._settings.link("/billing/thanks"),
                "cancel_url": self._settings.link("/billing"),
                "expires_at": int(expires_at.timestamp()),
            },
            {"idempotency_key": f"subscription-{subscription_id}"},
        )
        return HostedPage(session_id=session.id, url=session.url or "")

    def subscription(self, subscription_id: str) -> dict[str, Any] | None:
        """As it is now, whatever an event said; None when Stripe knows no such subscription."""
        try:
            return self._client.v1.subscriptions.retrieve(subscription_id).to_dict()
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                return None
            raise

    def expire_session(self, session_id: str) -> None:
        self._client.v1.checkout.sessions.expire(session_id)

    def refund(self, *, refund_id: UUID, payment_intent: str, amount_cents: int) -> ProviderRefund:
        made = self._client.v1.refunds.create(
            {
                "payment_intent": payment_intent,
                "amount": amount_cents,
                "metadata": {"refund_id": str(refund_id)},
            },
            {"idempotency_key": f"refund-{refund_id}"},
        )
        return ProviderRefund(id=made.id, status=made.status or "pending")

    def find_refund(self, *, refund_id: UUID, payment_intent: str) -> ProviderRefund | None:
        """A refund made earlier for this intent; for retries after Stripe has forgotten the idempotency key."""
        page = self._client.v1.refunds.list({"payment_intent": payment_intent, "limit": 100})
        for made in page.auto_paging_iter():
            if (made.to_dict().get("metadata") or {}).get("refund_id") == str(refund_id):
                return ProviderRefund(id=made.id, status=made.status or "pending")
        return None

    def events_since(self, since: datetime) -> Iterator[dict[str, Any]]:
        """Newest first, as Stripe lists them."""
        page = self._client.v1.events.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
        for event in page.auto_paging_iter():
            yield event.to_dict()
