"""What providers tell of mails, who may tell it, and who gets no more."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest

from holdtrue.assembly.testing import Kit
from holdtrue.modules.email.webhooks.signature import sign
from holdtrue.stage.mail import MailServer, Phase

A, B = UUID(int=0xA), UUID(int=0xB)
TO = "Ann@customer.test"
Owe = Callable[..., Awaitable[None]]


@pytest.fixture
def owe(kit: Kit) -> Owe:
    async def owe(template: str = "shop.invite", *, to: str = TO, tenant: UUID | None = A) -> None:
        chosen = next(each for each in kit.process.services.registry.mails if each.name == template)
        async with kit.unit(tenant=tenant) as unit:
            await unit.mail(chosen, to=to, payload=chosen.payload(name="Bob", link="x"))
        await kit.work()

    return owe


def secrets(environ: dict[str, str], name: str) -> list[str]:
    return environ[f"EMAIL_{name}_SECRETS"].split(",")


async def tell(
    kit: Kit,
    secret: str,
    event: object,
    *,
    id: str = "msg_1",  # noqa: A002
    age: int = 0,
    path: str = "/webhooks/email",
    brand: str = "webhook",
    body: bytes | None = None,
) -> httpx.Response:
    raw = json.dumps(event, indent=3).encode()
    at = str(int(time.time()) - age)
    headers = {
        f"{brand}-id": id,
        f"{brand}-timestamp": at,
        f"{brand}-signature": f"v1,bm90IHRoaXMgb25l v1,{sign(secret, f'{id}.{at}.'.encode() + raw)}",
    }
    return await kit.client.post(path, content=raw if body is None else body, headers=headers)


async def message_id(kit: Kit) -> str:
    rows = await kit.sql("SELECT message_id FROM email_mails ORDER BY id DESC LIMIT 1")
    return str(rows[0]["message_id"])


async def outcomes(kit: Kit) -> list[object]:
    return [row["outcome"] for row in await kit.sql("SELECT outcome FROM email_mails ORDER BY id")]


async def suppressed(kit: Kit) -> list[tuple[object, ...]]:
    return [
        (row["tenant_id"], row["address"], row["reason"]) for row in await kit.sql("SELECT * FROM email_suppressions")
    ]


async def bounced(kit: Kit, environ: dict[str, str], **more: object) -> httpx.Response:
    event = {"type": "bounced", "message_id": await message_id(kit), "permanent": True} | more
    answer = await tell(kit, secrets(environ, "WEBHOOK")[0], event)
    await kit.work()
    return answer


async def test_a_hard_bounce_suppresses_the_address_and_says_so_of_the_next_mail(
    kit: Kit, smtp: MailServer, environ: dict[str, str], owe: Owe
) -> None:
    await owe()
    assert (await bounced(kit, environ)).status_code == 200
    assert await suppressed(kit) == [(A, TO.lower(), "bounced")]
    await owe(to=TO.upper())
    assert len(smtp.mails) == 1
    assert await outcomes(kit) == ["bounced", "suppressed"]
    actions = {row["action"] for row in await kit.sql("SELECT action FROM doors_audit")}
    assert actions == {"email.address_suppressed", "email.mail_suppressed"}
    assert TO.lower() not in str(await kit.sql("SELECT details FROM doors_audit")).lower()
    assert [row["sealed"] for row in await kit.sql("SELECT sealed FROM email_mails")] == [None, None]


async def test_another_tenant_may_still_write_to_it(
    kit: Kit, smtp: MailServer, environ: dict[str, str], owe: Owe
) -> None:
    await owe()
    await bounced(kit, environ)
    await owe(tenant=B)
    assert await outcomes(kit) == ["bounced", "accepted"]


async def test_a_soft_bounce_is_noted_and_suppresses_nobody(kit: Kit, environ: dict[str, str], owe: Owe) -> None:
    await owe()
    await bounced(kit, environ, permanent=False)
    assert await outcomes(kit) == ["bounced"]
    assert await suppressed(kit) == []


async def test_a_security_mail_passes_a_complaint(
    kit: Kit, smtp: MailServer, environ: dict[str, str], owe: Owe
) -> None:
    await owe()
    await bounced(kit, environ, type="complained")
    assert await suppressed(kit) == [(A, TO.lower(), "complained")]
    await owe("shop.invite")
    await owe("shop.reset")
    assert await outcomes(kit) == ["complained", "suppressed", "accepted"]


async def test_a_security_mail_waits_a_day_after_a_bounce_and_then_tries(
    kit: Kit, smtp: MailServer, environ: dict[str, str], owe: Owe
) -> None:
    await owe()
    await bounced(kit, environ)
    await owe("shop.reset")
    await kit.sql("UPDATE email_suppressions SET since = since - interval '25 h'")
    await owe("shop.reset")
    await owe("shop.invite")
    assert await outcomes(kit) == ["bounced", "suppressed", "accepted", "suppressed"]


async def test_a_refused_recipient_is_suppressed_without_any_webhook(kit: Kit, smtp: MailServer, owe: Owe) -> None:
    smtp.refuse(Phase.RCPT, "550 5.1.1 no such user", times=1)
    await owe()
    assert await suppressed(kit) == [(A, TO.lower(), "rejected")]
    smtp.refuse(Phase.RCPT, "550 5.7.1 policy", times=1)
    await owe(to="bea@customer.test")
    assert len(await suppressed(kit)) == 1


async def test_late_news_take_back_nothing(kit: Kit, environ: dict[str, str], owe: Owe) -> None:
    await owe()
    secret = secrets(environ, "WEBHOOK")[0]
    for number, kind in enumerate(("complained", "delivered", "bounced")):
        await tell(kit, secret, {"type": kind, "message_id": await message_id(kit)}, id=f"msg_{number}")
        await kit.work()
    assert await outcomes(kit) == ["complained"]


async def test_news_before_the_servers_answer_stand(
    kit: Kit, smtp: MailServer, environ: dict[str, str], owe: Owe
) -> None:
    smtp.lose_reply(times=1)
    await owe()
    await bounced(kit, environ, type="delivered", permanent=False)
    assert await outcomes(kit) == ["delivered"]
    await kit.work(hurry=True)
    assert await outcomes(kit) == ["delivered"]
    assert len(smtp.mails) == 1, "what was delivered is not sent again"
    assert await kit.worker.letters() == []


async def test_news_while_the_server_is_still_answering_stand(
    kit: Kit, smtp: MailServer, environ: dict[str, str], owe: Owe
) -> None:
    with smtp.hang(Phase.STORED) as hesitating:
        sending = asyncio.create_task(owe())
        await hesitating.reached()
        await bounced(kit, environ)
        assert await outcomes(kit) == ["bounced"]
    await sending
    assert await outcomes(kit) == ["bounced"]


async def test_told_many_times_at_once_is_told_once(kit: Kit, environ: dict[str, str], owe: Owe) -> None:
    await owe()
    secret, event = secrets(environ, "WEBHOOK")[0], {"type": "complained", "message_id": await message_id(kit)}
    answers = await asyncio.gather(*(tell(kit, secret, event) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert await kit.work() == 1
    assert len(await kit.sql("SELECT * FROM doors_audit WHERE action = 'email.address_suppressed'")) == 1


async def test_every_secret_verifies_and_no_other(kit: Kit, environ: dict[str, str], owe: Owe) -> None:
    await owe()
    event = {"type": "delivered", "message_id": await message_id(kit)}
    for number, secret in enumerate(secrets(environ, "WEBHOOK")):
        assert (await tell(kit, secret, event, id=f"msg_{number}")).status_code == 200
    for stranger in (secrets(environ, "RESEND")[0], "", "whsec_"):
        assert (await tell(kit, stranger, event, id="msg_x")).status_code == 400


async def test_what_is_forged_stale_or_from_the_future_changes_nothing(
    kit: Kit, environ: dict[str, str], owe: Owe
) -> None:
    await owe()
    secret = secrets(environ, "WEBHOOK")[0]
    event = {"type": "bounced", "message_id": await message_id(kit), "permanent": True}
    for answer in (
        await kit.client.post("/webhooks/email", json=event),
        await tell(kit, secret, event, age=301),
        await tell(kit, secret, event, age=-301),
        await tell(kit, secret, event, body=json.dumps(event).encode()),
        await tell(kit, secret, event, id="a.b"),
    ):
        assert answer.status_code == 400, answer.text
    assert await kit.work() == 0
    assert await suppressed(kit) == []


async def test_a_signed_event_that_is_not_understood_is_refused(kit: Kit, environ: dict[str, str]) -> None:
    for event in ({"type": "exploded", "message_id": "<1@x>"}, {"type": "bounced"}, [], "x"):
        assert (await tell(kit, secrets(environ, "WEBHOOK")[0], event)).status_code == 422


async def test_news_of_an_unknown_mail_are_seen(kit: Kit, environ: dict[str, str]) -> None:
    event = {"type": "bounced", "message_id": "<nobody@acme.test>", "permanent": True}
    assert (await tell(kit, secrets(environ, "WEBHOOK")[0], event)).status_code == 200
    await kit.work()
    [letter] = await kit.worker.letters()
    assert (letter.job, letter.state) == ("email.feedback", "dead")


RESEND = (
    ("email.delivered", None, "delivered", None),
    ("email.bounced", "Permanent", "bounced", "bounced"),
    ("email.bounced", "Transient", "bounced", None),
    ("email.complained", None, "complained", "complained"),
    ("email.suppressed", None, "bounced", "bounced"),
    ("email.failed", None, "bounced", None),
    ("email.opened", None, "accepted", None),
    ("domain.updated", None, "accepted", None),
)


async def test_resend_tells_in_its_own_words(kit: Kit, environ: dict[str, str], owe: Owe) -> None:
    path, secret = "/webhooks/email/resend", secrets(environ, "RESEND")[0]
    for number, (kind, bounce, _, _) in enumerate(RESEND):
        await owe(to=f"{number}@customer.test")
        data: dict[str, object] = {
            "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
            "message_id": await message_id(kit),
            "from": "Acme <post@acme.test>",
            "to": [f"{number}@customer.test"],
            "subject": "Hi",
        }
        if bounce is not None:
            data["bounce"] = {"type": bounce, "subType": "General", "message": "gone"}
        event = {"type": kind, "created_at": "2026-11-22T10:00:00.000Z", "data": data}
        assert (await tell(kit, secret, event, id=f"m{number}", path=path, brand="svix")).status_code == 200
        await kit.work()
    assert await outcomes(kit) == [outcome for _, _, outcome, _ in RESEND]
    expected = [(A, f"{number}@customer.test", each[3]) for number, each in enumerate(RESEND) if each[3]]
    assert sorted(await suppressed(kit)) == expected


async def test_another_senders_mail_of_the_same_resend_account_is_no_news(kit: Kit, environ: dict[str, str]) -> None:
    event = {"type": "email.bounced", "data": {"message_id": "<1@other.test>", "from": "x@other.test"}}
    answer = await tell(kit, secrets(environ, "RESEND")[0], event, path="/webhooks/email/resend", brand="svix")
    assert answer.status_code == 200
    assert await kit.work() == 0
