"""The mail server: starts and stops in the caller's event loop, keeps what arrives, and misbehaves when told to."""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar

from holdtrue.stage.mail.attempts import Attempt, Outcome
from holdtrue.stage.mail.faults import Action, Fault, Phase
from holdtrue.stage.mail.message import Mail, read_mail
from holdtrue.stage.mail.session import SmtpConnection
from holdtrue.stage.mail.waiting import Signal

HOST = "127.0.0.1"

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """What the server had received at one moment."""

    mails: tuple[Mail, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class MailServer:
    """A real SMTP server on 127.0.0.1 (RFC 5321, with SIZE, 8BITMIME, SMTPUTF8, AUTH PLAIN and LOGIN, STARTTLS).

    It takes any credentials and any recipient. `tls` is the server-side context STARTTLS uses; without it STARTTLS is
    not offered. `clock` dates what arrives. `patience` is the default, in seconds, of every wait.
    """

    def __init__(
        self,
        *,
        hostname: str = "mail.holdtrue.test",
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = _now,
        patience: float = 10.0,
    ) -> None:
        self.hostname = hostname
        self.tls = tls
        self.mails: list[Mail] = []
        self.attempts: list[Attempt] = []
        self.faults: list[Fault] = []
        self.port = 0
        self._clock = clock
        self._patience = patience
        self._signal = Signal()
        self._listener: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._connections: set[SmtpConnection] = set()

    # life

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1. Raises `RuntimeError` when already started."""
        if self._listener is not None or self._reserved is not None:
            raise RuntimeError(f"The mail server already runs on port {self.port}. Use up() after down().")
        self._reserved = _bound_socket(0)
        self.port = self._reserved.getsockname()[1]
        await self.up()

    async def stop(self) -> None:
        """Close the port and every connection; afterwards no task and no socket is left."""
        await self.down()
        for fault in self.faults:
            fault.lift()
        self.faults.clear()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def down(self, *, cut: bool = True) -> None:
        """Refuse connections from now on, on the same port. `cut` also closes those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            for listening in listener.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            # What the loop accepted a moment ago is still being made a connection: closing now would leak its socket.
            await asyncio.sleep(0)
            listener.close()
            # Bound but not listening: connections are refused, and nobody else is given our port meanwhile.
            self._reserved = _bound_socket(self.port)
        if cut:
            open_now = list(self._connections)
            for connection in open_now:
                connection.cut(Outcome.CUT)
            await asyncio.gather(*(connection.gone() for connection in open_now))

    async def up(self) -> None:
        """Take connections again, on the same port. Raises `RuntimeError` when the server was never started."""
        if self._listener is not None:
            return
        if self._reserved is None:
            raise RuntimeError("The mail server is not started: call start() first.")
        reserved, self._reserved = self._reserved, None
        self._listener = await asyncio.get_running_loop().create_server(self._connect, sock=reserved)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # misbehaviour

    def refuse(self, phase: Phase, reply: str, *, to: str | None = None, times: int | None = None) -> Fault:
        """Answer `reply` (a whole 4xx or 5xx line) at a phase.

        `to` limits it to one recipient, or to a pattern such as `*@example.org`, from RCPT on. `times` ends it after
        that many clients. Raises `ValueError` for a reply that is none and for a `to` before RCPT.
        """
        return self._misbehave(phase, Action.REFUSE, reply=reply, to=to, times=times)

    def hang(self, phase: Phase, *, to: str | None = None, times: int | None = None) -> Fault:
        """Say nothing at a phase until the fault is lifted. `times` and `to` as for `refuse`."""
        return self._misbehave(phase, Action.HANG, reply=None, to=to, times=times)

    def hold_banner(self, *, times: int | None = None) -> Fault:
        """Accept TCP connections and send no banner until the fault is lifted."""
        return self.hang(Phase.CONNECT, times=times)

    def drop(self, phase: Phase, *, to: str | None = None, times: int | None = None) -> Fault:
        """Close the connection at a phase, without a word. `times` and `to` as for `refuse`."""
        return self._misbehave(phase, Action.DROP, reply=None, to=to, times=times)

    def lose_reply(self, *, to: str | None = None, times: int | None = None) -> Fault:
        """Store the mail, then close the connection before the 250: the client does not know that it was sent."""
        return self.drop(Phase.STORED, to=to, times=times)

    def behave(self) -> None:
        """Lift every fault. The port stays as it is."""
        for fault in self.faults:
            fault.lift()
        self.faults.clear()

    def _misbehave(
        self, phase: Phase, action: Action, *, reply: str | None, to: str | None, times: int | None
    ) -> Fault:
        fault = Fault(phase, action, reply=reply, to=to, times=times, patience=self._patience)
        # A new list: a conversation may be walking the old one.
        self.faults = [*(known for known in self.faults if not known.lifted), fault]
        return fault

    # what arrived

    def snapshot(self) -> Mailbox:
        """What has arrived so far, to restore later."""
        return Mailbox(mails=tuple(self.mails), attempts=tuple(_copied(self.attempts)))

    async def restore(self, mailbox: Mailbox | None = None) -> None:
        """Go back to a mailbox (without one, to an empty one), lift every fault and take connections again.

        Connections that are open stay open: an app that pools them keeps its own.
        """
        self.behave()
        mailbox = mailbox or Mailbox()
        self.mails[:] = mailbox.mails
        self.attempts[:] = _copied(mailbox.attempts)
        await self.up()

    def find(
        self, to: str | None = None, *, subject: str | re.Pattern[str] | None = None, after: int = 0
    ) -> list[Mail]:
        """The mails for a recipient, in order of arrival.

        `subject` is a part of it (without regard to case) or a pattern; `after` skips mails up to that number.
        """
        return [
            mail
            for mail in self.mails
            if mail.number > after and (to is None or mail.is_for(to)) and _subject_matches(mail, subject)
        ]

    async def arrived(
        self,
        to: str | None = None,
        *,
        subject: str | re.Pattern[str] | None = None,
        after: int = 0,
        patience: float | None = None,
    ) -> Mail:
        """Wait for the first such mail (see `find`). Raises `MailTimeoutError`, naming what did arrive."""

        def first() -> Mail | None:
            return next(iter(self.find(to, subject=subject, after=after)), None)

        wanted = f"No mail arrived for {to or 'anybody'}" + (f" with subject {subject!r}" if subject else "")
        return await self._until(first, patience, f"{wanted} after mail {after}.")

    async def attempted(self, *, after: int = 0, patience: float | None = None) -> Attempt:
        """Wait for the first connection with a higher number than `after` that has ended or delivered.

        Raises `MailTimeoutError`. With a client that retries, `after` is the number of the last attempt seen.
        """

        def first() -> Attempt | None:
            settled = (a for a in self.attempts if a.number > after and (a.ended or a.outcome is Outcome.DELIVERED))
            return next(settled, None)

        return await self._until(first, patience, f"No connection after number {after} came to an end.")

    async def idle(self, *, patience: float | None = None) -> None:
        """Wait until no connection is in the middle of something. Raises `MailTimeoutError`."""

        def none_open() -> bool | None:
            return None if any(a.outcome is Outcome.OPEN and not a.ended for a in self.attempts) else True

        await self._until(none_open, patience, "Connections are still in the middle of something.")

    async def _until(self, look: Callable[[], T | None], patience: float | None, complaint: str) -> T:
        limit = self._patience if patience is None else patience
        return await self._signal.until(look, limit, lambda: f"{complaint} Waited {limit:g} s. {self._seen()}")

    def _seen(self) -> str:
        mails = "; ".join(f"{m.number} to {', '.join(m.recipients)}: {m.subject!r}" for m in self.mails[-5:])
        attempts = "; ".join(str(attempt) for attempt in self.attempts[-5:])
        return (
            f"{len(self.mails)} mails are here{': ' if mails else ''}{mails}. "
            f"{len(self.attempts)} connections were made{': ' if attempts else ''}{attempts}. "
            "With no connection at all, the app mails elsewhere (its host and port settings) or not yet (its worker)."
        )

    # for connections

    def _connect(self) -> SmtpConnection:
        connection = SmtpConnection(self)
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        return connection

    def begin_attempt(self) -> Attempt:
        """For connections: note that one began."""
        attempt = Attempt(number=len(self.attempts) + 1, at=self._clock())
        self.attempts.append(attempt)
        self._signal.notify()
        return attempt

    def attempt_changed(self) -> None:
        """For connections: have those who wait look again."""
        self._signal.notify()

    def store(self, raw: bytes, attempt: Attempt, mail_from: str, recipients: Iterable[str]) -> Mail:
        """For connections: keep a mail."""
        mail = read_mail(
            raw,
            number=len(self.mails) + 1,
            at=self._clock(),
            attempt=attempt.number,
            mail_from=mail_from,
            recipients=recipients,
        )
        self.mails.append(mail)
        attempt.stored.append(mail.number)
        self._signal.notify()
        return mail


def _bound_socket(port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off; without it every mail costs 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((HOST, port))
    return bound


def _copied(attempts: Iterable[Attempt]) -> list[Attempt]:
    return [
        replace(
            attempt,
            recipients=list(attempt.recipients),
            replies=list(attempt.replies),
            stored=list(attempt.stored),
            acknowledged=list(attempt.acknowledged),
        )
        for attempt in attempts
    ]


def _subject_matches(mail: Mail, subject: str | re.Pattern[str] | None) -> bool:
    if isinstance(subject, re.Pattern):
        return subject.search(mail.subject) is not None
    return subject is None or subject.lower() in mail.subject.lower()
