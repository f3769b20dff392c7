"""Every call to Stripe: outside any transaction, with a key made from a row of ours, and one of three answers.

What a call did is known (it answered), known not to have happened (``ProviderRefused``, ``ProviderBusy``), or unknown
(``ProviderSilent``). An unknown one is asked again with the same key and the same words, or read; never made anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import stripe
from stripe.params import RefundCreateParams
from stripe.params.checkout import SessionCreateParams

from holdtrue.modules.payments.errors import ProviderBusy, ProviderRefused, ProviderSilent
from holdtrue.modules.payments.ports import Dispute, Event, Invoice, Refund, Session, Subscription
from holdtrue.modules.payments.settings import PaymentsSettings
from holdtrue.runtime import require_outside

API_VERSION = "2026-10-28.endive"
"""Pinned: a later one may move fields, as 2025-03-31.basil moved a subscription's period into its items."""
PAGE = 100

Q = ParamSpec("Q")
R = TypeVar("R")
Method = Callable[Concatenate["Stripe", Q], Awaitable[R]]


def _call(method: Method[Q, R]) -> Callable[Concatenate[Stripe, Q], Awaitable[R]]:
    @wraps(method)
    async def call(self: Stripe, /, *args: Q.args, **kwargs: Q.kwargs) -> R:
        require_outside("stripe")
        try:
            return await method(self, *args, **kwargs)
        except stripe.StripeError as error:
            raise meaning(error) from error

    return call


def meaning(error: stripe.StripeError) -> Exception:
    """What an error says about whether the call happened (https://docs.stripe.com/error-low-level)."""
    status, code = error.http_status, error.code or type(error).__name__
    if isinstance(error, stripe.APIConnectionError) or status is None or status >= 500:
        return ProviderSilent(code)
    if status in (401, 403, 409, 429):
        return ProviderBusy(code)
    return ProviderRefused(code)


class _Http(stripe.HTTPXClient):
    """Hands httpx the form as ``content``: as ``data``, which the SDK says, it is deprecated, and a run in which
    warnings are errors would take the warning for a lost connection."""

    def _get_request_args_kwargs(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any
    ) -> tuple[tuple[str, str], dict[str, Any]]:
        args, kwargs = super()._get_request_args_kwargs(method, url, headers, post_data)
        kwargs["content"] = kwargs.pop("data") or None
        return args, kwargs


class Stripe:
    """The official SDK's async client, with our own words for what it takes and gives."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._v1 = client.v1

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: PaymentsSettings) -> AsyncIterator[Stripe]:
        """With a connection pool of its own, closed at the end."""
        # The SDK's default of 80 seconds is longer than anybody waits for a page.
        http = _Http(timeout=settings.stripe_timeout_seconds)
        client = stripe.StripeClient(
            settings.stripe_api_key.get_secret_value(),
            stripe_version=API_VERSION,
            base_addresses={"api": settings.stripe_api_base},
            max_network_retries=settings.stripe_retries,
            http_client=http,
        )
        try:
            yield cls(client)
        finally:
            await http.close_async()  # type: ignore[no-untyped-call]  # of the SDK

    # Checkout ---------------------------------------------------------------------------------------------------------

    @_call
    async def create_session(self, checkout_id: UUID, params: SessionCreateParams) -> Session:
        """The session of a checkout; however often it is asked for, there is one."""
        made = await self._v1.checkout.sessions.create_async(params, {"idempotency_key": f"checkout-{checkout_id}"})
        return Session.model_validate(made.to_dict())

    @_call
    async def session(self, session_id: str) -> Session:
        """With its payment intent."""
        found = await self._v1.checkout.sessions.retrieve_async(session_id, {"expand": ["payment_intent"]})
        return Session.model_validate(found.to_dict())

    @_call
    async def session_of(self, intent: str) -> Session | None:
        """The session that a payment intent belongs to, if to any."""
        page = await self._v1.checkout.sessions.list_async(
            {"payment_intent": intent, "limit": 1, "expand": ["data.payment_intent"]}
        )
        return Session.model_validate(page.data[0].to_dict()) if page.data else None

    @_call
    async def expire_session(self, session_id: str) -> None:
        """Close an open session; refused for one that is not."""
        await self._v1.checkout.sessions.expire_async(session_id)

    @_call
    async def create_customer(self, row_id: UUID, tenant: UUID) -> str:
        """The customer for a row of ours. The metadata is for people; nothing here reads it."""
        made = await self._v1.customers.create_async(
            {"metadata": {"tenant": str(tenant)}}, {"idempotency_key": f"customer-{row_id}"}
        )
        return made.id

    # Refunds and disputes ---------------------------------------------------------------------------------------------

    @_call
    async def create_refund(self, refund_id: UUID, intent: str, amount: int) -> Refund:
        """However often it is asked for within a day, there is one; after that, look with ``refunds_of`` first."""
        params: RefundCreateParams = {
            "payment_intent": intent,
            "amount": amount,
            "metadata": {"refund_id": str(refund_id)},
        }
        made = await self._v1.refunds.create_async(params, {"idempotency_key": f"refund-{refund_id}"})
        return Refund.model_validate(made.to_dict())

    @_call
    async def refund(self, refund_id: str) -> Refund:
        """By Stripe's id."""
        return Refund.model_validate((await self._v1.refunds.retrieve_async(refund_id)).to_dict())

    @_call
    async def refunds_of(self, intent: str) -> list[Refund]:
        """All of them, whoever made them."""
        page = await self._v1.refunds.list_async({"payment_intent": intent, "limit": PAGE})
        return [Refund.model_validate(each.to_dict()) async for each in page.auto_paging_iter()]

    @_call
    async def dispute(self, dispute_id: str) -> Dispute:
        """By Stripe's id."""
        return Dispute.model_validate((await self._v1.disputes.retrieve_async(dispute_id)).to_dict())

    @_call
    async def disputes_of(self, intent: str) -> list[Dispute]:
        """All of them, closed ones too."""
        page = await self._v1.disputes.list_async({"payment_intent": intent, "limit": PAGE})
        return [Dispute.model_validate(each.to_dict()) async for each in page.auto_paging_iter()]

    @_call
    async def intent_of_charge(self, charge_id: str) -> str | None:
        """The payment intent that a charge belongs to."""
        found: Any = (await self._v1.charges.retrieve_async(charge_id)).payment_intent
        return found if isinstance(found, str) or found is None else str(found.id)

    # Subscriptions ----------------------------------------------------------------------------------------------------

    @_call
    async def subscription(self, subscription_id: str) -> Subscription:
        """As it is now."""
        return Subscription.model_validate((await self._v1.subscriptions.retrieve_async(subscription_id)).to_dict())

    @_call
    async def end_with_period(self, subscription_id: str) -> None:
        """Let it end with the period that is paid. It sets a state: repeated, it needs no key."""
        await self._v1.subscriptions.update_async(subscription_id, {"cancel_at_period_end": True})

    @_call
    async def invoice(self, invoice_id: str) -> Invoice:
        """With what paid it."""
        found = await self._v1.invoices.retrieve_async(invoice_id, {"expand": ["payments"]})
        return Invoice.model_validate(found.to_dict())

    @_call
    async def invoice_of(self, intent: str) -> str | None:
        """The invoice that a payment intent paid, if any."""
        page = await self._v1.invoice_payments.list_async(
            {"payment": {"type": "payment_intent", "payment_intent": intent}, "limit": 1}
        )
        invoice: Any = page.data[0].invoice if page.data else None
        return invoice if isinstance(invoice, str) or invoice is None else str(invoice.id)

    # Events -----------------------------------------------------------------------------------------------------------

    @_call
    async def events(
        self, types: list[str], within: tuple[datetime, datetime], after: str | None
    ) -> tuple[list[Event], str | None]:
        """A page of events, newest first, and the cursor of the next page; None at the end."""
        params: stripe.params.EventListParams = {
            "types": types,
            "created": {"gte": int(within[0].timestamp()), "lte": int(within[1].timestamp())},
            "limit": PAGE,
        }
        if after is not None:
            params["starting_after"] = after
        page = await self._v1.events.list_async(params)
        found = [Event.model_validate(each.to_dict()) for each in page.data]
        return found, found[-1].id if page.has_more and found else None
