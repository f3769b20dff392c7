"""What a tenant's people can see and do."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from holdtrue.assembly import Assembly
from holdtrue.assembly.testing import Kit, Postgres, running
from holdtrue.modules.email.contract import FORGET, Nothing
from holdtrue.runtime import Faults
from holdtrue.stage.mail import MailServer

A, B = UUID(int=0xA), UUID(int=0xB)


def headers(tenant: UUID = A, permissions: str = "email.read email.manage") -> dict[str, str]:
    return {"X-Principal": "ann", "X-Tenant": str(tenant), "X-Permissions": permissions}


async def test_a_test_mail_arrives_and_is_listed_without_its_text(kit: Kit, smtp: MailServer) -> None:
    answer = await kit.client.post("/email/tests", json={"to": "me@acme.test"}, headers=headers())
    assert answer.status_code == 202
    await kit.work()
    assert [mail.subject for mail in smtp.find("me@acme.test")] == ["Test mail"]
    [line] = (await kit.client.get("/email/mails", headers=headers())).json()["items"]
    assert set(line) == {"id", "template", "recipient", "status", "reply", "attempts", "created_at"}
    assert (line["template"], line["recipient"], line["attempts"]) == ("email.test", "me@acme.test", 1)


async def test_test_mails_are_few_even_when_asked_for_at_once(kit: Kit) -> None:
    posts = [kit.client.post("/email/tests", json={"to": f"{each}@acme.test"}, headers=headers()) for each in range(24)]
    answers = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert (answers.count(202), answers.count(429)) == (20, 4)


async def test_an_impossible_address_fails_the_request(kit: Kit) -> None:
    for to in ("a@x.test, b@x.test", "a@x.test\r\nBcc: b@x.test", "Ann <a@x.test>"):
        answer = await kit.client.post("/email/tests", json={"to": to}, headers=headers())
        assert (answer.status_code, answer.json()["code"]) == (422, "email.address")


async def test_the_list_can_be_narrowed_and_paged(kit: Kit) -> None:
    for each in range(3):
        await kit.client.post("/email/tests", json={"to": f"{each}@acme.test"}, headers=headers())

    async def recipients(**query: str | int) -> list[str]:
        answer = await kit.client.get("/email/mails", params=query, headers=headers())
        return [item["recipient"] for item in answer.json()["items"]]

    assert await recipients() == ["2@acme.test", "1@acme.test", "0@acme.test"]
    assert await recipients(to="1@ACME.test") == ["1@acme.test"]
    assert await recipients(status="accepted") == []
    page = (await kit.client.get("/email/mails", params={"limit": 2}, headers=headers())).json()["items"]
    assert await recipients(limit=2, before=page[-1]["id"]) == ["0@acme.test"]


async def test_an_address_is_suppressed_once_and_released(kit: Kit, smtp: MailServer) -> None:
    first = await kit.client.post("/email/suppressions", json={"address": "Ann@x.test"}, headers=headers())
    again = await kit.client.post("/email/suppressions", json={"address": "ann@X.test"}, headers=headers())
    assert (first.status_code, again.json()) == (201, first.json())
    await kit.client.post("/email/tests", json={"to": "ann@x.test"}, headers=headers())
    await kit.work()
    assert smtp.mails == []
    path = f"/email/suppressions/{first.json()['id']}"
    assert (await kit.client.delete(path, headers=headers())).status_code == 204
    assert (await kit.client.delete(path, headers=headers())).status_code == 404
    assert (await kit.client.get("/email/suppressions", headers=headers())).json() == {"items": []}
    await kit.client.post("/email/tests", json={"to": "ann@x.test"}, headers=headers())
    await kit.work()
    assert len(smtp.mails) == 1
    actions = [row["action"] for row in await kit.sql("SELECT action FROM doors_audit ORDER BY id")]
    assert actions == ["email.address_suppressed", "email.mail_suppressed", "email.address_released"]


async def test_one_tenant_neither_sees_nor_releases_what_is_anothers(kit: Kit) -> None:
    made = await kit.client.post("/email/suppressions", json={"address": "ann@x.test"}, headers=headers())
    await kit.client.post("/email/tests", json={"to": "bob@x.test"}, headers=headers())
    for path in ("/email/mails", "/email/suppressions"):
        assert (await kit.client.get(path, headers=headers(B))).json() == {"items": []}
    gone = await kit.client.delete(f"/email/suppressions/{made.json()['id']}", headers=headers(B))
    assert gone.status_code == 404
    assert len(await kit.sql("SELECT * FROM email_suppressions")) == 1


async def test_each_route_needs_its_permission(kit: Kit) -> None:
    for method, path, permissions in (
        ("GET", "/email/mails", "email.manage"),
        ("GET", "/email/suppressions", "email.manage"),
        ("POST", "/email/suppressions", "email.read"),
        ("DELETE", f"/email/suppressions/{uuid4()}", "email.read"),
        ("POST", "/email/tests", "email.read"),
    ):
        answer = await kit.client.request(method, path, json={}, headers=headers(permissions=permissions))
        assert answer.status_code == 403, path


async def test_old_texts_and_old_mails_are_forgotten(kit: Kit) -> None:
    for age in (1, 11, 91):
        await kit.client.post("/email/tests", json={"to": f"{age}@x.test"}, headers=headers())
        await kit.sql(
            "UPDATE email_mails SET created_at = now() - %s * interval '1 d' WHERE recipient = %s",
            age,
            f"{age}@x.test",
        )
    async with kit.unit() as unit:
        await unit.enqueue(FORGET, Nothing())
    await kit.sql("UPDATE holdtrue_outbox SET due_at = 'infinity' WHERE job = 'email.deliver'")
    await kit.work()
    rows = await kit.sql("SELECT recipient, sealed IS NULL AS erased FROM email_mails ORDER BY created_at DESC")
    assert [(row["recipient"], row["erased"]) for row in rows] == [("1@x.test", False), ("11@x.test", True)]


async def test_without_secrets_there_is_no_webhook(
    assembly: Assembly, postgres: Postgres, environ: dict[str, str]
) -> None:
    environ |= {"EMAIL_WEBHOOK_SECRETS": "", "EMAIL_RESEND_SECRETS": ""}
    async with running(assembly, postgres, environ=environ) as kit:
        for path in ("/webhooks/email", "/webhooks/email/resend"):
            assert (await kit.client.post(path, json={})).status_code == 404


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("EMAIL_SENDER", "post@acme.test, eve@evil.test", "one address"),
        ("EMAIL_SENDER", "Acme, Inc. <post@acme.test>", "one address"),
        ("EMAIL_SENDER", "post@acme.test\nBcc: eve@evil.test", "one address"),
        ("EMAIL_SENDER", "nobody", "one address"),
        ("EMAIL_SMTP_HOST", "smtp.acme.test", "in the clear"),
        ("EMAIL_SMTP_USERNAME", "ann", "need each other"),
        ("EMAIL_SEAL_KEYS", "short", "32 characters"),
        ("EMAIL_SEAL_KEYS", "", "EMAIL_SEAL_KEYS"),
        ("EMAIL_WEBHOOK_SECRETS", "changeme-changeme-changeme-changeme", "guessable"),
        ("EMAIL_SMTP_HOTS", "localhost", "nothing reads it"),
        ("EMAIL_IDEMPOTENCY_HEADER", "X: y\r\nBcc", "EMAIL_IDEMPOTENCY_HEADER"),
    ],
)
async def test_settings_that_would_harm_are_refused_at_boot(
    assembly: Assembly, postgres: Postgres, environ: dict[str, str], name: str, value: str, told: str
) -> None:
    with pytest.raises(Faults, match=told):
        async with assembly.blueprint.open(environ | {"DATABASE_URL": "postgresql://a@/b", name: value}):
            pass
