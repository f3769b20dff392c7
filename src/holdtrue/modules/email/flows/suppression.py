"""Addresses that get no more mails of a tenant."""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.contract import (
    ADDRESS_RELEASED,
    ADDRESS_SUPPRESSED,
    AddressReleased,
    AddressSuppressed,
    Reason,
)
from holdtrue.modules.email.models import Mail, Suppression
from holdtrue.runtime import NotFound, UnitOfWork, flow, uuid7
from holdtrue.runtime.context import NO_TENANT

DEAD = ("bounced", "rejected")
"""There is no such mailbox; the other reasons are that somebody does not want mails."""
SECURITY_PAUSE = timedelta(days=1)
"""After a bounce even a security mail waits so long: a mailbox may come back, and its owner must not be locked out."""


async def suppressed(unit: UnitOfWork, mail: Mail) -> Reason | None:
    """Why this mail must not be sent; None when it may."""
    query = select(Suppression.reason).where(
        Suppression.tenant_id == mail.tenant_id, Suppression.address == Address.parse(mail.recipient).normal
    )
    if mail.stream == "security":
        query = query.where(Suppression.reason.in_(DEAD), Suppression.since > func.now() - SECURITY_PAUSE)
    return cast("Reason | None", await unit.session.scalar(query))


@flow(emits=(ADDRESS_SUPPRESSED,))
async def suppress(unit: UnitOfWork, address: Address, reason: Reason) -> Suppression:
    """Send no more to an address. For the reason that is known already nothing changes but the time of a bounce."""
    values = {
        "tenant_id": unit.context.tenant or NO_TENANT,
        "id": uuid7(),
        "address": address.normal,
        "reason": reason,
    }
    statement = insert(Suppression).values(values)
    again = statement.on_conflict_do_update(
        index_elements=["tenant_id", "address"],
        set_={"reason": reason, "since": func.now()},
        where=or_(Suppression.reason != reason, and_(Suppression.reason.in_(DEAD), Suppression.since < func.now())),
    ).returning(Suppression.id)
    changed = await unit.session.scalar(again)
    if changed is not None:
        await unit.emit(ADDRESS_SUPPRESSED, AddressSuppressed(suppression_id=changed, reason=reason))
    own = Suppression.tenant_id == values["tenant_id"]
    found = await unit.session.scalars(select(Suppression).where(own, Suppression.address == address.normal))
    return found.one()


@flow(emits=(ADDRESS_RELEASED,))
async def release(unit: UnitOfWork, suppression_id: UUID) -> None:
    """Send to an address again.

    Raises:
        NotFound: it is not suppressed in this tenant.
    """
    gone = delete(Suppression).where(Suppression.tenant_id == unit.tenant, Suppression.id == suppression_id)
    if await unit.session.scalar(gone.returning(Suppression.id)) is None:
        raise NotFound
    await unit.emit(ADDRESS_RELEASED, AddressReleased(suppression_id=suppression_id))
