"""Mail of an app that hands it to Postfix: what the mail server refuses is tried again, and arrives once."""

from __future__ import annotations

import asyncio
import os
import pwd
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from holdtrue.stage.mail import MailServer, Outcome, Phase
from holdtrue.stage.process import free_port

from .conftest import Start, program

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = relay.example.com
mydestination =
relayhost = [127.0.0.1]:{mail}
smtp_host_lookup = native
smtp_dns_support_level = disabled
minimal_backoff_time = 1h
queue_run_delay = 1h
maillog_file = /dev/stdout
alias_maps =
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""


class Relay:
    """A Postfix of its own, which delivers to our mail server."""

    def __init__(self, home: Path, port: int, mail: MailServer) -> None:
        self.home = home
        self.port = port
        self.mail = mail

    async def send(self, to: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "app@example.com", to, "Welcome"
        message.set_content("Your code is 4711.\n.\nA dot alone is no end.\n")

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
                client.send_message(message)

        await asyncio.to_thread(send)

    async def flush(self) -> None:
        """Have the queue tried now."""
        flush = await asyncio.create_subprocess_exec(program("postqueue"), "-c", str(self.home), "-f")
        assert await flush.wait() == 0


@pytest.fixture
async def relay(home: Path, start: Start) -> AsyncIterator[Relay]:
    assert os.geteuid() == 0, "Postfix is started by root only"
    postfix = program("postfix")
    for name in ("queue", "data"):
        (home / name).mkdir(mode=0o755)
    os.chown(home / "data", pwd.getpwnam("postfix").pw_uid, -1)
    async with MailServer() as mail:
        port = free_port()
        (home / "main.cf").write_text(MAIN.format(home=home, mail=mail.port))
        (home / "master.cf").write_text(MASTER.format(port=port))
        await start(postfix, "-c", str(home), "start-fg", until=b"daemon started")
        yield Relay(home, port, mail)
        stop = await asyncio.create_subprocess_exec(postfix, "-c", str(home), "stop")
        await stop.wait()


async def test_a_mail_that_was_refused_for_now_is_kept_and_arrives_once_and_whole(relay: Relay) -> None:
    with relay.mail.refuse(Phase.RCPT, "451 4.3.0 Try again later"):
        await relay.send("ann@example.com")
        assert (await relay.mail.attempted()).outcome is Outcome.REFUSED
        assert not relay.mail.mails
    while not relay.mail.mails:
        await relay.flush()
        await asyncio.sleep(0)
    [mail] = relay.mail.find(to="ann@example.com")
    assert mail.text is not None
    assert mail.text.replace("\r\n", "\n") == "Your code is 4711.\n.\nA dot alone is no end.\n"


async def test_an_answer_that_is_lost_behind_the_mail_makes_postfix_send_it_twice(relay: Relay) -> None:
    """RFC 5321, 4.5.4.2: the sender cannot know. What counts a mail twice here is the relay, not the app."""
    with relay.mail.drop(Phase.STORED):
        await relay.send("bob@example.com")
        await relay.mail.attempted()
    assert len(relay.mail.find(to="bob@example.com")) == 1
    while len(relay.mail.mails) < 2:
        await relay.flush()
        await asyncio.sleep(0)
    first, second = relay.mail.find(to="bob@example.com")
    assert first.header("message-id") == second.header("message-id")
