"""Hands one mail to the mail server, and notes what became of it.

At least once: where the server's answer is lost, or the worker dies before it has noted it, the mail is sent again,
byte for byte the same under the same Message-ID. Nothing between two machines can do better, but for a server that
knows a key of ours (``EMAIL_IDEMPOTENCY_HEADER``).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update

from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.contract import DELIVER, MAIL_FAILED, MAIL_SUPPRESSED, MailFailed, MailSuppressed, Owed
from holdtrue.modules.email.errors import Deferred, OutcomeUnknown, Rejected, Undelivered
from holdtrue.modules.email.flows.suppression import suppress, suppressed
from holdtrue.modules.email.models import Mail
from holdtrue.modules.email.ports import EmailPorts
from holdtrue.runtime import GiveUp, UnitOfWork, Unknown, Work


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A mail that is to be sent now."""

    id: UUID
    template: str
    address: Address
    sealed: bytes


async def deliver(work: Work, payload: Owed) -> None:
    """One attempt."""
    ready = await _ready(work, payload.mail_id)
    if ready is None:
        return
    ports = work.port(EmailPorts)
    message = ports.seal.open(ready.id, ready.sealed)
    try:
        reply = await ports.transport.send(
            sender=str(ports.settings.mailbox[1]), recipient=str(ready.address), message=message
        )
    except Rejected as error:
        await _given_up(work, ready, error)
        raise GiveUp(str(error)) from None
    except (Deferred, OutcomeUnknown) as error:
        await _put_off(work, ready, error)
        if isinstance(error, OutcomeUnknown):
            raise Unknown(str(error)) from None
        raise
    async with work.finish() as unit:
        await _settle(unit, ready.id, outcome="accepted", reply=reply)


async def _ready(work: Work, mail_id: UUID) -> Ready | None:
    """The mail; None when there is nothing left to do."""
    async with work.unit() as unit:
        mail = await unit.session.scalar(select(Mail).where(Mail.id == mail_id))
        if mail is None:
            raise GiveUp("there is no such mail, or not in this tenant")
        if mail.outcome is not None:
            return None
        reason = await suppressed(unit, mail)
    if reason is not None:
        async with work.finish() as unit:
            await _settle(unit, mail.id, outcome="suppressed", reply=reason)
            told = MailSuppressed(mail_id=mail.id, template=mail.template, reason=reason)
            await unit.emit(MAIL_SUPPRESSED, told)
        return None
    if mail.sealed is None:
        raise GiveUp("its text was erased: it waited for too long")
    return Ready(id=mail.id, template=mail.template, address=Address.parse(mail.recipient), sealed=mail.sealed)


async def _settle(unit: UnitOfWork, mail_id: UUID, *, outcome: str, reply: str) -> None:
    """Erase the text, and note the outcome, unless a provider was faster in telling a later one."""
    await unit.session.execute(update(Mail).where(Mail.id == mail_id).values(sealed=None))
    open_ = update(Mail).where(Mail.id == mail_id, Mail.outcome.is_(None))
    await unit.session.execute(open_.values(outcome=outcome, reply=reply))


async def _put_off(work: Work, ready: Ready, error: Undelivered) -> None:
    async with work.unit() as unit:
        await _note(unit, ready, error)
        if work.attempt >= DELIVER.attempts:
            await _fail(unit, ready, error)


async def _given_up(work: Work, ready: Ready, error: Rejected) -> None:
    """The text stays sealed for a while: somebody who mends the cause can requeue it."""
    async with work.unit() as unit:
        await _note(unit, ready, error)
        await _fail(unit, ready, error)
        if error.no_such_mailbox:
            await suppress(unit, ready.address, "rejected")


async def _note(unit: UnitOfWork, ready: Ready, error: Undelivered) -> None:
    await unit.session.execute(update(Mail).where(Mail.id == ready.id).values(reply=str(error)))


async def _fail(unit: UnitOfWork, ready: Ready, error: Undelivered) -> None:
    await unit.emit(MAIL_FAILED, MailFailed(mail_id=ready.id, template=ready.template, reply=str(error)))
