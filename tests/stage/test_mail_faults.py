"""The mail server misbehaves at the chosen phase, for the chosen recipient, as often as asked."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import pytest

from holdtrue.stage.mail import MailServer, MailTimeoutError, Outcome, Phase


def send(port: int, *to: str) -> dict[str, Any]:
    message = EmailMessage()
    message["From"] = "app@example.com"
    message["To"] = ", ".join(to)
    message.set_content("Hello\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo_or_helo_if_needed()
        return client.send_message(message)


async def sent(server: MailServer, *to: str) -> dict[str, Any]:
    return await asyncio.to_thread(send, server.port, *(to or ("ann@example.com",)))


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer() as running:
        yield running
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("reply", ["451 4.3.0 Try again later", "554 5.7.1 Refused", "421 4.3.2 Closing"])
@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.AUTH])
async def test_a_refusal_reaches_the_client_at_its_phase(server: MailServer, phase: Phase, reply: str) -> None:
    with server.refuse(phase, reply), pytest.raises((smtplib.SMTPException, OSError)):
        await sent(server)
    attempt = await server.attempted()
    assert (attempt.phase, attempt.outcome) == (phase, Outcome.REFUSED)
    assert reply in attempt.replies
    assert len(server.mails) == (1 if phase is Phase.STORED else 0)
    await sent(server)
    assert server.attempts[-1].outcome is Outcome.DELIVERED


async def test_credentials_can_be_refused(server: MailServer) -> None:
    def log_in() -> None:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
            client.login("app", "word")

    with server.refuse(Phase.AUTH, "535 5.7.8 Bad credentials"), pytest.raises(smtplib.SMTPAuthenticationError):
        await asyncio.to_thread(log_in)
    await asyncio.to_thread(log_in)


async def test_a_recipient_can_be_refused_while_another_gets_the_mail(server: MailServer) -> None:
    server.refuse(Phase.RCPT, "550 5.1.1 No such user", to="*@Gone.example")
    refused = await sent(server, "ann@example.com", "bob@gone.example")
    assert list(refused) == ["bob@gone.example"]
    assert server.mails[0].recipients == ("ann@example.com",)
    assert server.attempts[0].outcome is Outcome.DELIVERED


async def test_a_recipient_cannot_be_chosen_before_the_client_names_it(server: MailServer) -> None:
    with pytest.raises(ValueError, match="SMTP names recipients only after that phase"):
        server.refuse(Phase.MAIL, "451 4.3.0 Later", to="ann@example.com")
    with pytest.raises(ValueError, match="not an SMTP refusal"):
        server.refuse(Phase.MAIL, "250 OK")
    with pytest.raises(ValueError, match="not an SMTP refusal"):
        server.refuse(Phase.MAIL, "451 Later\r\n250 OK")
    with pytest.raises(ValueError, match="at least once"):
        server.hang(Phase.MAIL, times=0)


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.AUTH])
async def test_a_held_client_goes_on_when_released(server: MailServer, phase: Phase) -> None:
    with server.hang(phase) as hold:
        sending = asyncio.create_task(sent(server))
        await hold.reached()
        assert not sending.done()
        assert len(server.mails) == (1 if phase is Phase.STORED else 0)
        with pytest.raises(MailTimeoutError, match="in the middle"):
            await server.idle(patience=0.01)
        await hold.release()
    assert await sending == {}
    await server.idle()
    assert len(server.mails) == 1


async def test_a_client_that_dies_while_held_leaves_nothing(server: MailServer) -> None:
    with server.hold_banner() as hold:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await hold.reached()
        assert reader.at_eof() is False
        writer.transport.abort()
        attempt = await server.attempted()
        await hold.release()
    assert (attempt.phase, attempt.outcome, server.mails) == (Phase.CONNECT, Outcome.LEFT, [])


async def test_a_hold_that_is_forgotten_is_released_with_the_mailbox(server: MailServer) -> None:
    hold = server.hang(Phase.MAIL, times=1)
    sending = asyncio.create_task(sent(server))
    await hold.reached()
    server.refuse(Phase.AUTH, "454 4.7.0 Later")
    await server.restore()
    assert await sending == {}


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.AUTH])
async def test_a_dropped_client_hears_nothing(server: MailServer, phase: Phase) -> None:
    server.drop(phase, times=1)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        await sent(server)
    attempt = await server.attempted()
    assert (attempt.phase, attempt.outcome, attempt.replies) == (phase, Outcome.DROPPED, [])


async def test_a_lost_reply_leaves_a_stored_mail_the_client_does_not_know_of(server: MailServer) -> None:
    server.lose_reply(to="ann@example.com", times=1)
    await sent(server, "bob@example.com")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        await sent(server)
    await sent(server)
    assert len(server.find("ann@example.com")) == 2
    assert [(a.stored, a.acknowledged) for a in server.attempts] == [([1], [1]), ([2], []), ([3], [3])]


async def test_a_server_that_is_down_refuses_and_comes_back_on_the_same_port(server: MailServer) -> None:
    port = server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    await server.down()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await sent(server)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await server.up()
    await sent(server)
    assert server.port == port
    assert len(server.mails) == 1
    assert server.attempts[0].outcome is Outcome.CUT


async def test_connecting_clients_survive_or_are_refused_while_it_goes_down_and_up(server: MailServer) -> None:
    async def connect() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except ConnectionError:
            return False
        writer.close()
        return True

    for _ in range(20):
        connecting = [asyncio.create_task(connect()) for _ in range(3)]
        await asyncio.wait(connecting, return_when=asyncio.FIRST_COMPLETED)
        await server.down()
        await asyncio.gather(*connecting)
        await server.up()
    assert await connect()


async def test_an_app_that_retries_can_be_followed_attempt_by_attempt(server: MailServer) -> None:
    server.refuse(Phase.RCPT, "451 4.7.1 Greylisted", times=2)

    async def retrying() -> None:
        for _ in range(2):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                await sent(server)
        await sent(server)

    app = asyncio.create_task(retrying())
    outcomes = [(await server.attempted(after=number)).outcome for number in range(3)]
    await app
    assert outcomes == [Outcome.REFUSED, Outcome.REFUSED, Outcome.DELIVERED]


async def test_starting_twice_or_coming_up_unstarted_is_refused(server: MailServer) -> None:
    with pytest.raises(RuntimeError, match="already runs"):
        await server.start()
    with pytest.raises(RuntimeError, match="not started"):
        await MailServer().up()
