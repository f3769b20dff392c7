"""Which events count, and what is read when one comes. All others are answered with 200 and forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from holdtrue.modules.payments.payloads import Notice
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.modules.payments.webhooks.reading import sync_checkout, sync_invoice, sync_payment, sync_subscription
from holdtrue.runtime import GiveUp, Work

Handler = Callable[[Work, str], Awaitable[None]]


async def refund(work: Work, refund_id: str) -> None:
    """A refund, made by us or in Stripe's dashboard."""
    await sync_payment(work, (await work.port(PaymentsPorts).stripe.refund(refund_id)).payment_intent)


async def charge(work: Work, charge_id: str) -> None:
    """A charge of which something was refunded."""
    await sync_payment(work, await work.port(PaymentsPorts).stripe.intent_of_charge(charge_id))


async def dispute(work: Work, dispute_id: str) -> None:
    """A dispute, or an inquiry before one."""
    await sync_payment(work, (await work.port(PaymentsPorts).stripe.dispute(dispute_id)).payment_intent)


HANDLERS: Mapping[str, Handler] = {
    "checkout.session.completed": sync_checkout,
    "checkout.session.async_payment_succeeded": sync_checkout,
    "checkout.session.async_payment_failed": sync_checkout,
    "checkout.session.expired": sync_checkout,
    "charge.refunded": charge,
    "refund.created": refund,
    "refund.updated": refund,
    "refund.failed": refund,
    "charge.dispute.created": dispute,
    "charge.dispute.updated": dispute,
    "charge.dispute.closed": dispute,
    "charge.dispute.funds_withdrawn": dispute,
    "charge.dispute.funds_reinstated": dispute,
    "customer.subscription.created": sync_subscription,
    "customer.subscription.updated": sync_subscription,
    "customer.subscription.deleted": sync_subscription,
    "customer.subscription.paused": sync_subscription,
    "customer.subscription.resumed": sync_subscription,
    "invoice.paid": sync_invoice,
    "invoice.payment_failed": sync_invoice,
}
"""By type; Stripe lists at most twenty types of events at once, and the reconciliation lists all of these."""

OVERDUE: Mapping[str, Handler] = {
    "checkout.session.overdue": sync_checkout,
    "refund.overdue": refund,
    "customer.subscription.overdue": sync_subscription,
}
"""What we ask for ourselves, because no news of it came for too long."""


async def read_and_apply(work: Work, notice: Notice) -> None:
    """The job behind every webhook."""
    handler = HANDLERS.get(notice.type) or OVERDUE.get(notice.type)
    if handler is None:
        raise GiveUp(f"nobody handles {notice.type}")
    await handler(work, notice.object_id)
