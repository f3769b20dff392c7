"""One SMTP connection: aiosmtpd's protocol, asked about faults at every phase."""

import asyncio
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session, TLSSetupException

from holdtrue.stage.mail.attempts import Attempt, Outcome
from holdtrue.stage.mail.faults import Action, Phase

if TYPE_CHECKING:
    from holdtrue.stage.mail.server import MailServer

# 32 MiB is above what providers take (Amazon SES 40 MB encoded, Gmail 25 MB), far below what would hurt.
LARGEST_MAIL = 32 * 2**20
# Longer than the 1000 octets of RFC 5321 section 4.5.3.1.6: big servers take it, so we do not accuse an app of it.
LONGEST_LINE = 2**20


class _Session(Session):
    # aiosmtpd warns in the log whenever its own code sets this deprecated property.
    login_data: Any = None


class SmtpConnection(SMTP):
    """The protocol of one connection, in the caller's event loop; it writes its `Attempt` as it goes."""

    line_length_limit = LONGEST_LINE

    def __init__(self, server: "MailServer") -> None:
        super().__init__(
            self,
            data_size_limit=LARGEST_MAIL,
            enable_SMTPUTF8=True,
            hostname=server.hostname,
            ident="ESMTP holdtrue",
            tls_context=server.tls,
            auth_require_tls=False,
            authenticator=self._authenticate_anyone,
            loop=asyncio.get_running_loop(),
        )
        self._mail_server = server
        self.attempt: Attempt = server.begin_attempt()
        self.closed: asyncio.Future[None] = self.loop.create_future()

    def cut(self, outcome: Outcome) -> None:
        """Close the connection at once, from our side."""
        if not self.attempt.ended:
            if self.attempt.outcome is Outcome.OPEN:
                self.attempt.outcome = outcome
            transport = self._original_transport or self.transport
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()

    async def gone(self) -> None:
        """Wait until the connection and the task that served it have ended."""
        await self.closed
        if self._handler_coroutine is not None:
            await asyncio.wait([self._handler_coroutine])

    # asyncio's protocol callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or begin again inside TLS."""
        super().connection_made(transport)
        if self._original_transport is not None:
            self.attempt.tls = True
        elif self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(self._conversation_ended)
            if self.attempt.outcome is Outcome.CUT and isinstance(transport, asyncio.WriteTransport):
                transport.abort()  # cut between the accept and this callback

    def connection_lost(self, error: Exception | None) -> None:
        """Note how the connection ended. aiosmtpd calls this a second time after a failed TLS handshake."""
        super().connection_lost(error)
        if not self.attempt.ended:
            self.attempt.ended = True
            if self.attempt.outcome is Outcome.OPEN:
                self.attempt.outcome = Outcome.LEFT
            self._mail_server.attempt_changed()
        if not self.closed.done():
            self.closed.set_result(None)

    def _conversation_ended(self, task: asyncio.Task[None]) -> None:
        # A reset connection ends the task with an error that nobody else would retrieve.
        if not task.cancelled() and (error := task.exception()) is not None:
            self.attempt.error = repr(error)
        if self.transport is not None and not self.attempt.ended:
            self.transport.close()

    # the conversation, phase by phase

    async def _handle_client(self) -> None:
        refusal = await self._meet(Phase.CONNECT)
        if refusal is not None:
            await self._say_and_close(refusal)
        await super()._handle_client()

    def _create_session(self) -> Session:
        return _Session(self.loop)

    async def push(self, status: str | bytes) -> None:
        """Send one reply line; a refusal, ours or aiosmtpd's own, goes into the attempt."""
        line = status.decode("utf-8", "replace") if isinstance(status, bytes) else status
        if line[:1] in {"4", "5"}:
            self.attempt.replies.append(line)
            self.attempt.outcome = Outcome.REFUSED
            self._mail_server.attempt_changed()
        await super().push(line)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (named by aiosmtpd)
        """DATA, with a fault before the 354."""
        if self.envelope is not None and self.envelope.rcpt_tos and not arg:
            refusal = await self._meet(Phase.DATA)
            if refusal is not None:
                await self.push(refusal)
                return
        await super().smtp_DATA(arg)

    async def handle_EHLO(  # noqa: N802
        self, smtp: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """EHLO: STARTTLS is offered when the server has a TLS context, AUTH always."""
        refusal = await self._meet(Phase.EHLO)
        if refusal is not None:
            return [refusal]
        session.host_name = self.attempt.helo = hostname
        return responses

    async def handle_HELO(self, smtp: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:  # noqa: N802
        """HELO, which counts as the EHLO phase."""
        refusal = await self._meet(Phase.EHLO)
        if refusal is not None:
            return refusal
        session.host_name = self.attempt.helo = hostname
        return f"250 {self.hostname}"

    async def handle_AUTH(self, smtp: SMTP, session: Session, envelope: Envelope, args: list[str]) -> Any:  # noqa: N802
        """AUTH, before the credentials are read."""
        refusal = await self._meet(Phase.AUTH)
        return MISSING if refusal is None else refusal

    async def handle_MAIL(  # noqa: N802
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> Any:
        """MAIL, which begins a transaction."""
        self.attempt.mail_from = _plain(address)
        self.attempt.recipients = []
        self.attempt.outcome = Outcome.OPEN
        refusal = await self._meet(Phase.MAIL)
        return MISSING if refusal is None else refusal

    async def handle_RCPT(  # noqa: N802
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> Any:
        """RCPT, for one recipient."""
        refusal = await self._meet(Phase.RCPT, [address])
        if refusal is not None:
            return refusal
        self.attempt.recipients.append(address)
        self.attempt.outcome = Outcome.OPEN
        return MISSING

    async def handle_DATA(self, smtp: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The end of the mail: store it, then say so, with a fault before either."""
        refusal = await self._meet(Phase.BODY)
        if refusal is not None:
            return refusal
        mail = self._mail_server.store(
            envelope.original_content or b"", self.attempt, _plain(envelope.mail_from or ""), envelope.rcpt_tos
        )
        refusal = await self._meet(Phase.STORED)
        if refusal is not None:
            return refusal
        self.attempt.acknowledged.append(mail.number)
        self.attempt.outcome = Outcome.DELIVERED
        self._mail_server.attempt_changed()
        return f"250 2.0.0 OK queued as {mail.number}"

    async def handle_exception(self, error: Exception) -> str:
        """Answer bytes that broke the parser, and keep what they did to it (this is aiosmtpd's edge for that)."""
        self.attempt.error = repr(error)
        if isinstance(error, TLSSetupException):
            return "454 4.7.0 TLS not available"
        return "501 5.5.2 Syntax error"

    def _authenticate_anyone(
        self, smtp: SMTP, session: Session, envelope: Envelope, mechanism: str, credentials: LoginPassword
    ) -> AuthResult:
        self.attempt.login = credentials.login.decode("utf-8", "replace")
        return AuthResult(success=True)

    # faults

    async def _meet(self, phase: Phase, recipients: list[str] | None = None) -> str | None:
        """Let the faults set for this phase act; the refusal to answer with, or None to go on."""
        self.attempt.phase = phase
        self._mail_server.attempt_changed()
        addressed = recipients if recipients is not None else self.attempt.recipients
        for fault in self._mail_server.faults:
            if not fault.concerns(phase, addressed):
                continue
            fault.fire()
            if fault.action is Action.DROP:
                await self._drop()
            elif fault.action is Action.HANG:
                await fault.hold()
            elif fault.reply is not None:
                if fault.reply.startswith("421"):  # RFC 5321 section 3.8: the server closes the channel after it
                    await self._say_and_close(fault.reply)
                return fault.reply
        return None

    async def _drop(self) -> None:
        self.attempt.outcome = Outcome.DROPPED
        self.cut(Outcome.DROPPED)
        await self._until_cancelled()

    async def _say_and_close(self, reply: str) -> None:
        await self.push(reply)
        if self.transport is not None:
            self.transport.close()
        await self._until_cancelled()

    async def _until_cancelled(self) -> None:
        # The connection is closing; connection_lost cancels the task of this conversation.
        await self.loop.create_future()


def _plain(address: str) -> str:
    return "" if address == "<>" else address
