"""One mail over one SMTP connection (RFC 5321), with a limit on every wait."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from holdtrue.modules.email.errors import Deferred, OutcomeUnknown, Rejected, Undelivered
from holdtrue.modules.email.settings import EmailSettings
from holdtrue.runtime import require_outside

log = logging.getLogger(__name__)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds. Below those of RFC 5321 (4.5.3.2), which are made for servers that have all day."""

    connect: float = 15.0
    command: float = 30.0
    data: float = 120.0
    """Longest after the mail was sent: whoever gives up there does not know what became of it."""
    leave: float = 5.0


class SmtpTransport:
    """The mail server of the settings. Keeps no connection: each mail has its own."""

    def __init__(self, settings: EmailSettings, *, limits: Limits | None = None) -> None:
        self._settings = settings
        self._limits = limits or Limits()
        # The public authorities or the given one, and the server's name must match.
        self._tls = ssl.create_default_context(cafile=settings.smtp_ca_file)

    async def send(self, *, sender: str, recipient: str, message: bytes) -> str:
        """Returns the answer in codes, such as ``accepted 250 2.0.0``."""
        require_outside("smtp")
        client = SMTP(
            hostname=self._settings.smtp_host,
            port=self._settings.smtp_port,
            use_tls=self._settings.smtp_security == "tls",
            start_tls=False,
            tls_context=self._tls,
            timeout=self._limits.command,
            # aiosmtplib would ask the resolver for the name of this machine.
            local_hostname=sender.rpartition("@")[2],
        )
        try:
            await self._enter(client)
            async with _phase("MAIL"):
                await client.mail(sender)
            async with _phase("RCPT", final=True):
                await client.rcpt(recipient)
            async with _phase("DATA", final=True, sent=True):
                answer = await client.data(message, timeout=self._limits.data)
            await self._leave(client)
        finally:
            client.close()
        return _codes("accepted", answer.code, answer.message)

    async def _enter(self, client: SMTP) -> None:
        async with _phase("CONNECT"):
            await client.connect(timeout=self._limits.connect)
        if self._settings.smtp_security == "starttls":
            async with _phase("STARTTLS"):
                await client.starttls(tls_context=self._tls)
        if self._settings.smtp_username:
            async with _phase("AUTH"):
                await client.login(self._settings.smtp_username, self._settings.smtp_password.get_secret_value())

    async def _leave(self, client: SMTP) -> None:
        """The mail is accepted by now, whatever the server says to QUIT."""
        try:
            await client.quit(timeout=self._limits.leave)
        except (SMTPException, OSError) as error:
            log.info("the mail server did not take leave: %s", type(error).__name__)


@asynccontextmanager
async def _phase(name: str, *, final: bool = False, sent: bool = False) -> AsyncIterator[None]:
    """Says what a failure in this phase means.

    A 5xx before RCPT is about us (a wrong password, a sender that is not allowed): every mail would share it, so none
    is given up for it.
    """
    try:
        yield
    except SMTPResponseException as error:
        raise _refusal(name, error, final=final, sent=sent) from None
    except (SMTPException, OSError, ValueError) as error:
        kind = OutcomeUnknown if sent else Deferred
        raise kind(name, what=type(error).__name__) from None


def _refusal(phase: str, error: SMTPResponseException, *, final: bool, sent: bool) -> Undelivered:
    enhanced = _enhanced(error.message)
    if final and 500 <= error.code < 600:
        return Rejected(phase, error.code, enhanced)
    if 400 <= error.code < 600 or not sent:
        return Deferred(phase, error.code, enhanced)
    return OutcomeUnknown(phase, error.code, enhanced)


def _enhanced(message: str) -> str:
    found = _ENHANCED.match(message)
    return found[1] if found else ""


def _codes(phase: str, code: int, message: str) -> str:
    return " ".join(filter(None, (phase, str(code), _enhanced(message))))
