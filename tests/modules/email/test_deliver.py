"""From the transaction that owes a mail to the mailbox, through every trouble on the way."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from holdtrue.assembly.testing import Kit
from holdtrue.contract import MailTemplate
from holdtrue.runtime import Fault
from holdtrue.stage.mail import MailServer, Phase

A, B = UUID(int=0xA), UUID(int=0xB)
TO = "ann@customer.test"


async def owe(
    kit: Kit, to: str = TO, *, template: str = "shop.invite", tenant: UUID | None = A, name: str = "Bob"
) -> None:
    mails = {each.name: each for each in kit.process.services.registry.mails}
    chosen = mails[template]
    async with kit.unit(tenant=tenant) as unit:
        await unit.mail(chosen, to=to, payload=chosen.payload(name=name, link="https://acme.test/?t=s3cret-t0ken"))


async def listed(kit: Kit, tenant: UUID = A, **query: str) -> list[dict[str, object]]:
    headers = {"X-Principal": "ann", "X-Tenant": str(tenant), "X-Permissions": "email.read"}
    answer = await kit.client.get("/email/mails", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def status(kit: Kit) -> tuple[object, object]:
    [mail] = await listed(kit)
    return mail["status"], mail["reply"]


async def test_an_owed_mail_arrives_with_both_texts_and_all_headers(kit: Kit, smtp: MailServer) -> None:
    await owe(kit)
    assert smtp.mails == []
    assert await status(kit) == ("queued", None)
    assert await kit.work() == 1
    [mail] = smtp.find(TO)
    assert mail.subject == "Bob invites you"
    assert mail.mail_from == "post@acme.test"
    assert mail.header("From") == '"Acme, Inc." <post@acme.test>'
    assert "https://acme.test/?t=s3cret-t0ken" in (mail.text or "")
    assert "https://acme.test/?t=s3cret-t0ken" in (mail.html or "")
    assert mail.header("Date") and mail.header("Auto-Submitted") == "auto-generated"
    assert await status(kit) == ("accepted", "accepted 250 2.0.0")
