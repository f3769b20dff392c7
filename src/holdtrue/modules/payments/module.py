"""The wiring. Making a module opens nothing and reads nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from holdtrue.contract import Contract, Rehearsal
from holdtrue.contract.document import Journey, Request, Webhook
from holdtrue.modules.payments import http
from holdtrue.modules.payments.adapters.stripe import Stripe
from holdtrue.modules.payments.contract import (
    CLOSE_CHECKOUT,
    CONTRACT,
    END_SUBSCRIPTION,
    NOTICE,
    RECONCILE,
    SEND_REFUND,
)
from holdtrue.modules.payments.flows.closing import close_checkout
from holdtrue.modules.payments.flows.reconcile import reconcile
from holdtrue.modules.payments.flows.send_refund import send_refund
from holdtrue.modules.payments.flows.subscription import end_subscription
from holdtrue.modules.payments.models import Base
from holdtrue.modules.payments.settings import PaymentsSettings
from holdtrue.modules.payments.terms import PaymentsPorts, Terms
from holdtrue.modules.payments.webhooks.handlers import HANDLERS, read_and_apply
from holdtrue.runtime import Module


def Payments(  # noqa: N802  (a module is named like the thing it is)
    *,
    sample: str,
    plan: str | None = None,
    buyer: str = "owner",
    approve_above: int = 100_00,
    approve_above_in: Mapping[str, int] | None = None,
) -> Module:
    """Payments with Stripe.

    Args:
        sample: a reference that the app's binding of CHECKOUT_LINES knows in a rehearsal: ``"{order_id}"``.
        plan: a plan it knows as well; without one there are no routes for a subscription.
        buyer: the principal of the rehearsal who buys.
        approve_above: refunds of one payment above this sum, in minor units, need a second person.
        approve_above_in: the same for single currencies.

    Raises:
        UsageError: a threshold below zero.
    """
    terms = Terms(approve_above=approve_above, approve_above_in=dict(approve_above_in or {}))
    subscribing = (http.subscribing(plan),) if plan is not None else ()
    return Module(
        contract=_contract(terms, sample, plan, buyer),
        # What has a fixed path stands before what has a parameter in its place.
        routers=(http.webhooks, http.paying(sample), *subscribing, http.reading, http.refunding),
        metadata=Base.metadata,
        migrations=Path(__file__).with_name("migrations"),
        settings=PaymentsSettings,
        open=_opening(terms),
        bindings=(
            NOTICE.bind(read_and_apply),
            SEND_REFUND.bind(send_refund),
            CLOSE_CHECKOUT.bind(close_checkout),
            END_SUBSCRIPTION.bind(end_subscription),
            RECONCILE.bind(reconcile),
        ),
    )


def _opening(terms: Terms) -> Callable[[PaymentsSettings], AbstractAsyncContextManager[PaymentsPorts]]:
    @asynccontextmanager
    async def open_ports(settings: PaymentsSettings) -> AsyncIterator[PaymentsPorts]:
        async with Stripe.opened(settings) as stripe:
            yield PaymentsPorts(stripe=stripe, terms=terms)

    return open_ports


def _contract(terms: Terms, sample: str, plan: str | None, buyer: str) -> Contract:
    """With the threshold in it, so that a change of it changes the digest; and with what a rehearsal buys."""
    bounds = [f"{terms.approve_above} minor units", *(f"{n} {c}" for c, n in sorted(terms.approve_above_in.items()))]
    effects = tuple(
        replace(each, doc=f"{each.doc}; above {', '.join(bounds)} a second person approves")
        if each.approval == "request"
        else each
        for each in CONTRACT.effects
    )
    journeys = {
        "purchase": Journey(
            steps=[
                Request.model_validate(
                    {"as": buyer, "request": "POST /payments/checkouts", "json": {"reference": sample}}
                )
            ],
            events=["checkout.session.completed"],
        )
    }
    if plan is not None:
        step = {"as": buyer, "request": "POST /payments/subscription", "json": {"plan": plan}}
        journeys["subscription"] = Journey(
            steps=[Request.model_validate(step)],
            events=["invoice.paid", "customer.subscription.created", "checkout.session.completed"],
        )
    webhook = Webhook(
        route=http.WEBHOOK,
        events=list(HANDLERS),
        reconcile=f"{{python}} -m holdtrue.assembly enqueue {{assembly}} {RECONCILE.name}",
        journeys=journeys,
    )
    # A rehearsal's events are seconds old when it asks for what never arrived.
    env = {"PAYMENTS_RECONCILE_AFTER_SECONDS": "0"}
    return replace(CONTRACT, effects=effects, rehearsal=Rehearsal(webhooks={"stripe": webhook}, env=env))
