"""From the transaction that owes a mail to the mailbox, through every trouble on the way."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from uuid import UUID

import pytest
import trustme

from holdtrue.assembly import Assembly
from holdtrue.assembly.testing import Kit, Postgres, running
from holdtrue.modules.email.adapters.smtp import Limits, SmtpTransport
from holdtrue.modules.email.contract import DELIVER
from holdtrue.modules.email.errors import Deferred, OutcomeUnknown
from holdtrue.modules.email.ports import EmailPorts
from holdtrue.modules.email.settings import EmailSettings
from holdtrue.runtime.settings import load
from holdtrue.stage.mail import MailServer, Phase

A = UUID(int=0xA)
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


async def test_a_rolled_back_request_owes_nothing(kit: Kit, smtp: MailServer) -> None:
    mails = {each.name: each for each in kit.process.services.registry.mails}
    chosen = mails["shop.invite"]
    with pytest.raises(ZeroDivisionError):
        async with kit.unit(tenant=A) as unit:
            await unit.mail(chosen, to=TO, payload=chosen.payload(name="Bob", link="x"))
            raise ZeroDivisionError
    assert await kit.work() == 0
    assert smtp.attempts == []
    assert await kit.sql("SELECT * FROM email_mails") == []


async def test_a_mail_of_no_tenant_arrives_and_no_tenant_sees_it(kit: Kit, smtp: MailServer) -> None:
    await owe(kit, tenant=None)
    assert await kit.work() == 1
    assert len(smtp.find(TO)) == 1
    assert await listed(kit) == []


async def test_a_mail_owed_before_the_tenant_was_known_arrives_and_stays_of_none(kit: Kit, smtp: MailServer) -> None:
    chosen = next(each for each in kit.process.services.registry.mails if each.name == "shop.invite")
    async with kit.unit() as unit:
        await unit.mail(chosen, to=TO, payload=chosen.payload(name="Bob", link="x"))
        await unit.enter(A)
    await kit.work()
    assert len(smtp.find(TO)) == 1
    assert await listed(kit) == []


async def test_not_now_is_tried_again_with_the_very_same_mail(kit: Kit, smtp: MailServer) -> None:
    await owe(kit)
    for phase in (Phase.CONNECT, Phase.MAIL, Phase.RCPT, Phase.BODY):
        smtp.refuse(phase, "451 4.3.0 not now, ann@customer.test", times=1)
        await kit.work(hurry=True)
        seen, reply = await status(kit)
        assert seen == "deferred"
        assert "451" in str(reply) and "ann" not in str(reply)
        assert await kit.work() == 0, "it backs off"
    await kit.work(hurry=True)
    assert len(smtp.find(TO)) == 1
    assert (await status(kit))[0] == "accepted"


async def test_a_server_that_is_down_costs_nothing_but_time(kit: Kit, smtp: MailServer) -> None:
    await smtp.down()
    await owe(kit)
    await kit.work()
    assert (await status(kit))[0] == "deferred"
    await smtp.up()
    await kit.work(hurry=True)
    assert len(smtp.find(TO)) == 1


async def test_a_trouble_of_ours_kills_no_mail(kit: Kit, smtp: MailServer) -> None:
    await owe(kit)
    for phase in (Phase.CONNECT, Phase.MAIL):
        smtp.refuse(phase, "550 5.7.1 who are you", times=1)
        await kit.work(hurry=True)
        assert (await status(kit))[0] == "deferred"
    await kit.work(hurry=True)
    assert len(smtp.find(TO)) == 1


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.BODY])
async def test_never_is_tried_once_and_seen(kit: Kit, smtp: MailServer, phase: Phase) -> None:
    await owe(kit)
    fault = smtp.refuse(phase, "554 5.7.1 never")
    await kit.work()
    await kit.work(hurry=True)
    assert fault.fired == 1
    assert (await status(kit))[0] == "failed"
    [letter] = await kit.worker.letters()
    assert (letter.job, letter.state) == ("email.deliver", "dead")
    assert "554 5.7.1" in letter.error
    [event] = await kit.sql("SELECT action, details FROM doors_audit")
    assert event["action"] == "email.mail_failed"
    assert TO not in str(event)


async def test_what_was_given_up_can_be_requeued(kit: Kit, smtp: MailServer) -> None:
    await owe(kit)
    smtp.refuse(Phase.RCPT, "554 5.7.1 never", times=1)
    await kit.work()
    [letter] = await kit.worker.letters()
    assert await kit.worker.requeue(letter)
    assert (await status(kit))[0] == "queued"
    await kit.work()
    assert len(smtp.find(TO)) == 1
    assert (await status(kit))[0] == "accepted"


async def test_after_the_last_attempt_it_is_seen_as_failed(kit: Kit, smtp: MailServer) -> None:
    await owe(kit)
    smtp.refuse(Phase.RCPT, "451 4.3.0 not now")
    await kit.work()
    await kit.sql("UPDATE holdtrue_outbox SET attempts = %s", DELIVER.attempts - 1)
    await kit.work(hurry=True)
    assert (await status(kit))[0] == "failed"
    events = await kit.sql("SELECT action FROM doors_audit")
    assert [event["action"] for event in events] == ["email.mail_failed"]


async def test_a_lost_answer_is_unknown_and_repeated_as_the_same_mail(kit: Kit, smtp: MailServer) -> None:
    await owe(kit)
    smtp.lose_reply(times=1)
    await kit.work()
    assert (await status(kit))[0] == "unknown"
    await kit.work(hurry=True)
    first, second = smtp.find(TO)
    assert first.message_id == second.message_id is not None
    assert first.raw == second.raw
    assert (await status(kit))[0] == "accepted"


async def test_a_worker_that_died_behind_the_answer_repeats_the_same_mail(kit: Kit, smtp: MailServer) -> None:
    """Its claim is there, the answer was never noted: the lease lapses, and the next worker goes on."""
    await owe(kit)
    [before] = await kit.sql("SELECT * FROM email_mails")
    await kit.work()
    await kit.sql("UPDATE email_mails SET sealed = %s, outcome = NULL", before["sealed"])
    await kit.sql("UPDATE holdtrue_outbox SET state = 'running', lease_until = now() - interval '1 s', done_at = NULL")
    await kit.work()
    first, second = smtp.find(TO)
    assert first.raw == second.raw


async def test_the_link_is_nowhere_in_clear_and_gone_when_sent(
    kit: Kit, smtp: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await owe(kit)
    smtp.refuse(Phase.RCPT, "451 4.3.0 not now", times=1)
    await kit.work()
    for table in ("email_mails", "holdtrue_outbox", "procrastinate_jobs", "doors_audit"):
        kept = str(await kit.sql(f"SELECT t::text, * FROM {table} t"))
        assert "s3cret" not in kept and "\\\\x733363726574" not in kept, table
    await kit.work(hurry=True)
    assert len(smtp.find(TO)) == 1
    [mail] = await kit.sql("SELECT sealed FROM email_mails")
    assert mail["sealed"] is None
    # SQL and SMTP at DEBUG belong to libraries, and nobody runs them so; what is ours must hold at any level.
    ours = [record for record in caplog.records if record.name.startswith("holdtrue")]
    assert ours
    assert "s3cret" not in "\n".join(f"{record.getMessage()} {record.exc_info}" for record in ours)


async def test_a_key_can_be_replaced_while_mails_wait(kit: Kit) -> None:
    await owe(kit)
    seal = kit.port(EmailPorts).seal
    [row] = await kit.sql("SELECT id, sealed FROM email_mails")
    newer = EmailSettings.model_validate(
        kit.port(EmailSettings).model_dump() | {"seal_keys": ("brand-8Wk1Xp3Yv5Bs7Ld9Gf2HjQm4Zr6Tn", *_keys(kit))}
    )
    assert type(seal)(newer.seal_keys).open(row["id"], row["sealed"]) == seal.open(row["id"], row["sealed"])


def _keys(kit: Kit) -> tuple[str, ...]:
    return tuple(key.get_secret_value() for key in kit.port(EmailSettings).seal_keys)


async def test_the_text_of_one_mail_cannot_be_put_under_another(kit: Kit, smtp: MailServer) -> None:
    await owe(kit, "eve@customer.test")
    [stolen] = await kit.sql("SELECT sealed FROM email_mails")
    await owe(kit)
    await kit.sql("UPDATE email_mails SET sealed = %s", stolen["sealed"])
    await kit.work()
    assert smtp.find(TO) == []


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.EHLO, Phase.RCPT, Phase.DATA, Phase.STORED])
async def test_a_silent_server_is_left_in_every_phase(smtp: MailServer, environ: dict[str, str], phase: Phase) -> None:
    limits = Limits(connect=0.2, command=0.2, data=0.2, leave=0.2)
    settings = load([EmailSettings], environ | {"EMAIL_SMTP_PORT": str(smtp.port)})[EmailSettings]
    transport = SmtpTransport(settings, limits=limits)
    expected = OutcomeUnknown if phase in (Phase.DATA, Phase.STORED) else Deferred
    with smtp.hang(phase), pytest.raises(expected):
        await transport.send(sender="post@acme.test", recipient=TO, message=b"Subject: x\r\n\r\nx")


async def test_by_default_nothing_goes_out_unencrypted(
    assembly: Assembly, postgres: Postgres, environ: dict[str, str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    environ.pop("EMAIL_SMTP_SECURITY")
    environ |= {"EMAIL_SMTP_CA_FILE": str(trusted), "EMAIL_SMTP_USERNAME": "u", "EMAIL_SMTP_PASSWORD": "p"}
    async with MailServer() as plain, MailServer(tls=context) as encrypted:
        for server, arrives in ((plain, False), (encrypted, True)):
            environ["EMAIL_SMTP_PORT"] = str(server.port)
            async with running(assembly, postgres, environ=environ) as kit:
                await owe(kit)
                await kit.work()
            assert bool(server.find(TO)) is arrives
        assert encrypted.attempts[-1].tls
        stranger = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(stranger))
        environ["EMAIL_SMTP_CA_FILE"] = str(stranger)
        async with running(assembly, postgres, environ=environ) as kit:
            await owe(kit)
            await kit.work()
            assert (await status(kit))[0] == "deferred"
