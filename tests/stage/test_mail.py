"""The mail server takes mail as a provider does, and what arrived can be found and waited for."""

import asyncio
import smtplib
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import Any

import pytest
import trustme

from holdtrue.stage.mail import Mail, MailServer, MailTimeoutError, Outcome, Phase, codes, extract, links

LONG_LINK = "https://app.example/reset?token=" + "a1B2" * 40 + "&next=%2Fhome"


def letter(to: str = "ann@example.com", subject: str = "Hello", body: str = "Hello Ann\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "app@example.com"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<1@example.com>"
    message.set_content(body)
    return message


def send(port: int, message: EmailMessage, *, to: list[str] | None = None, talk: Any = None) -> dict[str, Any]:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        if talk is not None:
            talk(client)
        return client.send_message(message, to_addrs=to)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer() as running:
        yield running
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_mail_is_kept_with_its_envelope_headers_and_parts(server: MailServer) -> None:
    message = letter(subject="Grüße aus Köln", body="Hallo Ännchen\n")
    message.add_alternative("<p>Hallo &Auml;nnchen</p>", subtype="html")
    await asyncio.to_thread(send, server.port, message, to=["ann@example.com", "hidden@example.com"])
    (mail,) = server.mails
    assert mail.mail_from == "app@example.com"
    assert mail.recipients == ("ann@example.com", "hidden@example.com")
    assert (mail.subject, mail.message_id, mail.header("to")) == (
        "Grüße aus Köln",
        "<1@example.com>",
        "ann@example.com",
    )
    assert mail.text == "Hallo Ännchen\n"
    assert mail.html is not None and "&Auml;nnchen" in mail.html
    assert b"Subject: =?utf-8?" in mail.raw
    (attempt,) = server.attempts
    assert (attempt.phase, attempt.outcome, attempt.stored, attempt.acknowledged) == (
        Phase.STORED,
        Outcome.DELIVERED,
        [1],
        [1],
    )


async def test_waiting_for_a_mail_ends_when_it_arrives(server: MailServer) -> None:
    await asyncio.to_thread(send, server.port, letter("ann@example.com", "First"))
    waiting = asyncio.create_task(server.arrived(to="ANN@example.com", after=1))
    await asyncio.to_thread(send, server.port, letter("bob@example.com", "Other"))
    assert not waiting.done()
    await asyncio.to_thread(send, server.port, letter("ann@example.com", "Second"))
    assert (await waiting).subject == "Second"
    assert [mail.subject for mail in server.find("ann@example.com")] == ["First", "Second"]
    assert [mail.subject for mail in server.find("ann@example.com", subject="sec")] == ["Second"]


async def test_waiting_in_vain_tells_what_did_arrive(server: MailServer) -> None:
    await asyncio.to_thread(send, server.port, letter("bob@example.com", "Other"))
    with pytest.raises(MailTimeoutError, match=r"No mail arrived for ann@example.com.*1 to bob@example.com: 'Other'"):
        await server.arrived(to="ann@example.com", patience=0.01)


async def test_a_restored_mailbox_holds_what_it_held_and_no_fault(server: MailServer) -> None:
    await asyncio.to_thread(send, server.port, letter(subject="Kept"))
    kept = server.snapshot()
    server.refuse(Phase.RCPT, "550 5.1.1 No such user")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(send, server.port, letter())
    await server.down()
    await server.restore(kept)
    assert ([m.subject for m in server.mails], len(server.attempts)) == (["Kept"], 1)
    await asyncio.to_thread(send, server.port, letter(subject="Next"))
    assert server.mails[-1].number == 2
    await server.restore()
    assert server.mails == []
    assert len(kept.mails) == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_any_credentials_are_taken_without_tls_and_the_password_is_not_kept(
    server: MailServer, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    def log_in(client: smtplib.SMTP) -> None:
        client.ehlo()
        client.user, client.password = "app", "s3cr3t-word"
        client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))

    await asyncio.to_thread(send, server.port, letter(), talk=log_in)
    (attempt,) = server.attempts
    assert (attempt.login, attempt.outcome, attempt.tls) == ("app", Outcome.DELIVERED, False)
    assert "s3cr3t-word" not in caplog.text + repr(attempt)
    assert "deprecated" not in caplog.text


async def test_starttls_is_offered_only_with_a_certificate(server: MailServer) -> None:
    def greet(port: int) -> tuple[bool, bool]:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.ehlo()
            return client.has_extn("starttls"), client.has_extn("auth")

    assert await asyncio.to_thread(greet, server.port) == (False, True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with MailServer(tls=context) as with_tls:
        assert await asyncio.to_thread(greet, with_tls.port) == (True, True)


async def test_mail_arrives_through_starttls_and_a_mistrusting_client_harms_nobody() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with MailServer(tls=context) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(
                send, server.port, letter(), talk=lambda c: c.starttls(context=ssl.create_default_context())
            )
        await server.attempted()
        await asyncio.to_thread(send, server.port, letter(), talk=lambda c: c.starttls(context=trusting))
        mistrusted, trusted = server.attempts
    assert (mistrusted.outcome, trusted.outcome) == (Outcome.LEFT, Outcome.DELIVERED)
    assert trusted.tls
    assert len(server.mails) == 1


async def test_many_mails_through_one_connection_are_one_attempt(server: MailServer) -> None:
    def three() -> None:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
            for number in range(3):
                client.send_message(letter(subject=str(number)))

    await asyncio.to_thread(three)
    assert [a.acknowledged for a in server.attempts] == [[1, 2, 3]]


async def read_reply(reader: asyncio.StreamReader) -> str:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    return line.decode()


async def test_raw_utf8_null_senders_and_endless_lines_are_taken(server: MailServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\n..dot\r\n" + b"x" * 5000 + b"\r\n.\r\n"
    for line in (
        b"",
        b"EHLO app\r\n",
        b"MAIL FROM:<> BODY=8BITMIME\r\n",
        b"RCPT TO:<ann@example.com>\r\n",
        b"DATA\r\n",
        body,
    ):
        writer.write(line)
        assert (await read_reply(reader))[0] in "23"
    writer.close()
    await writer.wait_closed()
    (mail,) = server.mails
    assert (mail.mail_from, mail.subject) == ("", "Grüße")
    assert mail.text is not None
    assert mail.text.startswith(".dot\n" + "x" * 5000)


async def test_garbage_and_half_open_clients_do_not_break_it(server: MailServer) -> None:
    for garbage in (
        b"\x00\xff\xfe" * 500 + b"\r\n",
        b"EHLO\r\nMAIL FROM:<<<>\r\nRCPT TO:@@\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(garbage)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    _, abandoned = await asyncio.open_connection("127.0.0.1", server.port)
    abandoned.write(b"EHLO app\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhalf a")
    abandoned.transport.abort()
    await server.attempted(after=3)
    await asyncio.to_thread(send, server.port, letter())
    assert len(server.mails) == 1
    assert all(attempt.outcome is not Outcome.DELIVERED for attempt in server.attempts[:4])


async def test_stopping_leaves_no_socket_even_with_clients_connected() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server = MailServer()
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await server.stop()
        assert await reader.read() in (b"", b"220 mail.holdtrue.test ESMTP holdtrue\r\n")
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
        await server.stop()
    assert [a.outcome for a in server.attempts] == [Outcome.CUT]


@pytest.fixture
async def receive(server: MailServer) -> Callable[[EmailMessage], Any]:
    async def received(message: EmailMessage) -> Mail:
        await asyncio.to_thread(send, server.port, message)
        return server.mails[-1]

    return received


async def test_links_survive_quoted_printable_and_html(receive: Callable[[EmailMessage], Any]) -> None:
    message = letter(body=f"Reset (see {LONG_LINK}).\nHelp: <https://app.example/help>\n")
    message.add_alternative(
        f'<style>a{{b:url("https://no")}}</style><a href="{LONG_LINK.replace("&", "&amp;")}">Reset</a> or'
        '<a href="https://app.example/b">https://app.example/b</a>',
        subtype="html",
    )
    mail = await receive(message)
    assert b"=\n" in mail.raw.replace(b"\r\n", b"\n"), "the sender did wrap the link"
    assert links(mail) == [LONG_LINK, "https://app.example/help", "https://app.example/b"]
    assert extract(mail, r"token=(\w+)") == ["a1B2" * 40]


async def test_codes_are_found_where_a_person_reads_them(receive: Callable[[EmailMessage], Any]) -> None:
    message = letter(subject="x", body="Your code: 204681. See https://app.example/t/99999999 (ref A-12345).\n")
    message.add_alternative("<p>Your code</p><h1>204681</h1><style>p{width:1234}</style>", subtype="html")
    assert codes(await receive(message)) == ["204681"]


async def test_an_unknown_charset_or_broken_header_still_arrives(receive: Callable[[EmailMessage], Any]) -> None:
    message = letter()
    message.replace_header("Content-Type", 'text/plain; charset="x-martian"')
    message["X-Bad"] = "placeholder"
    mail = await receive(message)
    assert mail.text == "Hello Ann\n"
    assert mail.html is None
