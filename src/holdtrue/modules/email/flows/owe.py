"""Fills the ``mailer`` port: a mail is rendered and kept in the transaction that owes it."""

from __future__ import annotations

from pydantic import BaseModel

from holdtrue.contract import MailTemplate
from holdtrue.modules.email.addresses import Address
from holdtrue.modules.email.contract import DELIVER, Owed
from holdtrue.modules.email.models import Mail
from holdtrue.modules.email.ports import EmailPorts
from holdtrue.modules.email.rendering import message, render
from holdtrue.runtime import UnitOfWork, uuid7
from holdtrue.runtime.context import NO_TENANT


async def owe(unit: UnitOfWork, template: MailTemplate, to: str, payload: BaseModel) -> None:
    """Render, seal, keep, and have it delivered after the commit.

    The Message-ID is made of the row's id, so that every attempt sends the same mail.

    Raises:
        AddressRefused: nothing can be sent to ``to``.
        Fault: MAIL_TEMPLATE_BROKEN.
    """
    ports = unit.port(EmailPorts)
    settings = ports.settings
    address = Address.parse(to)
    mail_id = uuid7()
    sender = settings.mailbox
    message_id = f"<{mail_id}@{sender[1].domain}>"
    raw = message(
        render(template, payload),
        sender=sender,
        to=address,
        message_id=message_id,
        now=unit.now(),
        extra={settings.idempotency_header: str(mail_id)} if settings.idempotency_header else None,
    )
    unit.session.add(
        Mail(
            tenant_id=unit.context.tenant or NO_TENANT,
            id=mail_id,
            template=template.name,
            stream=template.stream,
            recipient=str(address),
            message_id=message_id,
            sealed=ports.seal.seal(mail_id, raw),
        )
    )
    await unit.enqueue(DELIVER, Owed(mail_id=mail_id), key=str(mail_id))
