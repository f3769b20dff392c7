"""What a provider tells of a mail, long after it was sent: whose it is, our own row says."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import case, func, select, update

from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.contract import Feedback
from holdtrue.modules.email.flows.suppression import suppress
from holdtrue.modules.email.models import Mail
from holdtrue.runtime import GiveUp, Work
from holdtrue.runtime.context import NO_TENANT

RANK = {"accepted": 1, "delivered": 2, "bounced": 3, "complained": 4}
"""What was told later in the life of a mail is not taken back by what arrives late."""


async def learn(work: Work, payload: Feedback) -> None:
    """Note it, and send no more to an address that does not exist or does not want it. A soft bounce is only noted."""
    async with work.unit() as unit:
        tenant: UUID | None = await unit.session.scalar(select(func.email_mails_tenant(payload.message_id)))
    if tenant is None:
        raise GiveUp("this is about a mail that was not sent from here, or is forgotten")
    async with work.finish(tenant=None if tenant == NO_TENANT else tenant) as unit:
        known = case(RANK, value=Mail.outcome, else_=0)
        noted = (
            update(Mail)
            .where(Mail.message_id == payload.message_id, known < RANK[payload.kind])
            .values(outcome=payload.kind, sealed=None)
        )
        await unit.session.execute(noted)
        mails = await unit.session.scalars(select(Mail).where(Mail.message_id == payload.message_id))
        address = Address.parse(mails.one().recipient)
        if payload.kind == "complained":
            await suppress(unit, address, "complained")
        elif payload.kind == "bounced" and payload.permanent:
            await suppress(unit, address, "bounced")
