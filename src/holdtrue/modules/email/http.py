"""The mails and suppressed addresses of a tenant, a test mail, and what providers tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Header, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import func, select

from holdtrue.contract import Call, signature
from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.contract import FEEDBACK, MANAGE, READ, SUPPRESS, TEST, Asked, Feedback, Reason
from holdtrue.modules.email.errors import TooManyTests
from holdtrue.modules.email.flows.suppression import release, suppress
from holdtrue.modules.email.listing import MailOut, Wanted, mails
from holdtrue.modules.email.models import Mail, Suppression
from holdtrue.modules.email.ports import EmailPorts
from holdtrue.modules.email.webhooks import neutral, resend
from holdtrue.modules.email.webhooks.signature import Signed, verify
from holdtrue.runtime import (
    Before,
    Limit,
    NotFound,
    Principal,
    RawBody,
    Router,
    Unit,
    UnitOfWork,
    newest_first,
)

router = Router(prefix="/email", tags=("email",))
webhooks = Router(prefix="/webhooks/email", tags=("email",))
TESTS_AN_HOUR = 20


class Mails(BaseModel):
    """Newest first."""

    items: list[MailOut]


class SuppressionOut(BaseModel):
    """An address that gets no mails, and why."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    address: str
    reason: Reason
    since: datetime


class Suppressions(BaseModel):
    """Newest first."""

    items: list[SuppressionOut]


class SuppressIn(BaseModel):
    """An address."""

    address: str = Field(max_length=254)


class ProbeIn(BaseModel):
    """Where a test mail is to go."""

    to: str = Field(max_length=254)


@router.get("/mails", access=READ)
async def list_mails(unit: Unit, wanted: Annotated[Wanted, Query()]) -> Mails:
    """What was mailed to whom, and what became of it."""
    return Mails(items=await mails(unit, wanted))


@router.get("/suppressions", access=READ)
async def list_suppressions(unit: Unit, before: Before = None, limit: Limit = 50) -> Suppressions:
    """Who gets no mails."""
    rows = await newest_first(unit, Suppression, before, limit)
    return Suppressions(items=[SuppressionOut.model_validate(row) for row in rows])


@router.post("/suppressions", access=MANAGE, status=201, rehearse=Call(json_={"address": "{unique}@suppressed.test"}))
async def add_suppression(body: SuppressIn, unit: Unit) -> SuppressionOut:
    """Send no more to somebody who asked for it; security mails still go."""
    return SuppressionOut.model_validate(await suppress(unit, Address.parse(body.address), "manual"))


@router.delete("/suppressions/{suppression_id}", access=MANAGE, rehearse=Call(before=[SUPPRESS]))
async def remove_suppression(suppression_id: UUID, unit: Unit) -> None:
    """Send to an address again."""
    await release(unit, suppression_id)


@router.post("/tests", access=MANAGE, status=202, rehearse=Call(json_={"to": "{unique}@tested.test"}))
async def send_test(body: ProbeIn, unit: Unit) -> dict[str, str]:
    """Send a mail that says nothing, to see whether mails arrive."""
    await _few_enough(unit)
    await unit.mail(TEST, to=body.to, payload=Asked(asked_at=unit.now()))
    return {"status": "queued"}


async def _few_enough(unit: UnitOfWork) -> None:
    """One after the other, so that many at once are counted, too."""
    await unit.session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{TEST.name} {unit.tenant}", 0)))
    )
    recent = select(func.count()).where(
        Mail.tenant_id == unit.tenant, Mail.template == TEST.name, Mail.created_at > func.now() - timedelta(hours=1)
    )
    if (await unit.session.scalar(recent) or 0) >= TESTS_AN_HOUR:
        raise TooManyTests(f"No more than {TESTS_AN_HOUR} test mails an hour.")


@webhooks.post("", access=signature("email"))
async def hear(
    body: RawBody,
    unit: Unit,
    webhook_id: Annotated[str, Header()] = "",
    webhook_timestamp: Annotated[str, Header()] = "",
    webhook_signature: Annotated[str, Header()] = "",
) -> dict[str, bool]:
    """What became of a mail, in our own shape."""
    signed = Signed(id=webhook_id, timestamp=webhook_timestamp, signatures=webhook_signature)
    key = _verified(unit, "email", unit.port(EmailPorts).settings.webhook_secrets, signed, body)
    return await _take(unit, key, neutral.read(body))


@webhooks.post("/resend", access=signature("resend"))
async def hear_resend(
    body: RawBody,
    unit: Unit,
    svix_id: Annotated[str, Header()] = "",
    svix_timestamp: Annotated[str, Header()] = "",
    svix_signature: Annotated[str, Header()] = "",
) -> dict[str, bool]:
    """What became of a mail, as Resend tells it."""
    settings = unit.port(EmailPorts).settings
    signed = Signed(id=svix_id, timestamp=svix_timestamp, signatures=svix_signature)
    key = _verified(unit, "resend", settings.resend_secrets, signed, body)
    return await _take(unit, key, resend.read(body, str(settings.mailbox[1])))


def _verified(unit: UnitOfWork, source: str, secrets: Sequence[SecretStr], signed: Signed, body: bytes) -> str:
    """The key under which this delivery is known. Without a secret there is no such webhook."""
    if not secrets:
        raise NotFound
    key = f"{source}:{verify(secrets, signed, body, unit.now())}"
    unit.identify(Principal(kind="provider", id=source))
    return key


async def _take(unit: UnitOfWork, key: str, feedback: Feedback | None) -> dict[str, bool]:
    if feedback is not None:
        await unit.receive(FEEDBACK, feedback, key=key)
    return {"received": True}
