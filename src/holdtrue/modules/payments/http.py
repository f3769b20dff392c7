"""Routes: parse, flow, answer."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Header, Query
from sqlalchemy import select

from holdtrue.contract import Call, signature
from holdtrue.contract.document import Request
from holdtrue.modules.payments.contract import APPROVE, PAY, READ, REFUND, SUBSCRIBE
from holdtrue.modules.payments.flows.balance import balance_of
from holdtrue.modules.payments.flows.checkout import start_checkout, start_subscription
from holdtrue.modules.payments.flows.refund import decide_refund, request_refund
from holdtrue.modules.payments.flows.subscription import cancel_subscription, current_subscription, entitled
from holdtrue.modules.payments.models import Dispute, Payment, Refund, Subscription
from holdtrue.modules.payments.settings import PaymentsSettings
from holdtrue.modules.payments.views import (
    CheckoutIn,
    DecisionIn,
    DisputeOut,
    PageOut,
    PaymentDetail,
    PaymentList,
    PaymentOut,
    PlanIn,
    RefundIn,
    RefundList,
    RefundOut,
    SubscriptionOut,
)
from holdtrue.modules.payments.webhooks.intake import take_in, verified
from holdtrue.runtime import Before, Limit, NotFound, RawBody, Router, Unit, newest_first, own

WEBHOOK = "POST /webhooks/stripe"
_PAID = "stripe.purchase"
_SUBSCRIBED = "stripe.subscription"
_FIND = Request(request="GET /payments", capture={"payment_id": "items[0].id"})
_ASK = Request(request="POST /payments/{payment_id}/refunds", json_={"reason": "{canary}"}, capture={"refund_id": "id"})

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=8, max_length=200)]

webhooks = Router(prefix="/webhooks", tags=("payments",))


@webhooks.post("/stripe", access=signature("stripe"))
async def receive(
    unit: Unit, body: RawBody, signed: Annotated[str, Header(alias="Stripe-Signature")] = ""
) -> dict[str, bool]:
    """Stripe's events. Answered once they are kept; Stripe sends again what is not answered with 200."""
    settings = unit.port(PaymentsSettings)
    event = verified(body, signed, settings, unit.now().timestamp())
    return {"new": await take_in(unit, event, live=settings.live)}


reading = Router(prefix="/payments", tags=("payments",))


@reading.get("", access=READ)
async def payments(unit: Unit, before: Before = None, limit: Limit = 50) -> PaymentList:
    """Newest first."""
    rows = await newest_first(unit, Payment, before, limit)
    return PaymentList(items=[PaymentOut.model_validate(row) for row in rows])


@reading.get("/refunds", access=READ)
async def refunds(
    unit: Unit, status: Annotated[str | None, Query(max_length=20)] = None, before: Before = None, limit: Limit = 50
) -> RefundList:
    """Newest first; ``status=waiting`` are those that need somebody's approval."""
    wanted = [] if status is None else [Refund.status == status]
    rows = await newest_first(unit, Refund, before, limit, *wanted)
    return RefundList(items=[RefundOut.model_validate(row) for row in rows])


@reading.get("/{payment_id}", access=READ, rehearse=Call(after=_PAID, before=[_FIND]))
async def payment(payment_id: UUID, unit: Unit) -> PaymentDetail:
    """With its refunds and disputes."""
    found = await own(unit, Payment, payment_id)
    balance = await balance_of(unit, found)
    given_back = select(Refund).where(Refund.payment_id == payment_id).order_by(Refund.id)
    contested = select(Dispute).where(Dispute.payment_id == payment_id).order_by(Dispute.id)
    return PaymentDetail(
        **PaymentOut.model_validate(found).model_dump(),
        refunded=balance.refunded,
        reserved=balance.reserved,
        left=balance.left,
        disputed=balance.disputed,
        refunds=[RefundOut.model_validate(row) for row in await unit.session.scalars(given_back)],
        disputes=[DisputeOut.model_validate(row) for row in await unit.session.scalars(contested)],
    )


refunding = Router(prefix="/payments", tags=("payments",))


@refunding.post(
    "/{payment_id}/refunds",
    access=REFUND,
    status=202,
    rehearse=Call(after=_PAID, before=[_FIND], json_={"amount": 100, "reason": "{canary}"}),
)
async def refund(payment_id: UUID, body: RefundIn, unit: Unit, key: Key = None) -> RefundOut:
    """Intended when this is answered; sent afterwards, or once somebody approved it."""
    made = await request_refund(unit, payment_id, body.amount, reason=body.reason, key=key)
    return _shown(made)


@refunding.post(
    "/refunds/{refund_id}/decision",
    access=APPROVE,
    rehearse=Call(after=_PAID, before=[_FIND, _ASK], json_={"approve": False}),
)
async def decide(refund_id: UUID, body: DecisionIn, unit: Unit) -> RefundOut:
    """Approve or decline a refund that waits. Who asked for it may only take it back."""
    return _shown(await decide_refund(unit, refund_id, approve=body.approve))


def _shown(refund: Refund) -> RefundOut:
    return RefundOut.model_validate(refund)


def paying(sample: str) -> Router:
    """The route to a page; ``sample`` is what a rehearsal buys."""
    router = Router(prefix="/payments", tags=("payments",))

    @router.post("/checkouts", access=PAY, status=201, rehearse=Call(json_={"reference": sample}))
    async def checkout(body: CheckoutIn, unit: Unit) -> PageOut:
        """A page of Stripe's on which it is paid."""
        return PageOut.model_validate(await start_checkout(unit, body.reference))

    return router


def subscribing(plan: str) -> Router:
    """The routes of a subscription; ``plan`` is what a rehearsal subscribes to."""
    router = Router(prefix="/payments/subscription", tags=("payments",))

    @router.post("", access=SUBSCRIBE, status=201, rehearse=Call(json_={"plan": plan}))
    async def subscribe(body: PlanIn, unit: Unit) -> PageOut:
        """A page of Stripe's on which the tenant subscribes."""
        return PageOut.model_validate(await start_subscription(unit, body.plan))

    @router.get("", access=READ, rehearse=Call(after=_SUBSCRIBED))
    async def subscription(unit: Unit) -> SubscriptionOut:
        """The one that lives, or the last one that did."""
        found = await current_subscription(unit)
        if found is None:
            raise NotFound
        return _told(found)

    @router.delete("", access=SUBSCRIBE, status=202, rehearse=Call(after=_SUBSCRIBED))
    async def cancel(unit: Unit) -> SubscriptionOut:
        """Ends with the period that is paid; until then nothing is lost."""
        return _told(await cancel_subscription(unit))

    return router


def _told(found: Subscription) -> SubscriptionOut:
    return SubscriptionOut(
        plan=found.plan,
        status=found.status,
        entitled=entitled(found),
        cancels=found.cancels,
        paid_until=found.paid_until,
    )
