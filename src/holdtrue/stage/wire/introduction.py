"""How a client introduces itself, before there is a session. No input or output in here.

Source: PostgreSQL documentation, "Message Flow", sections "Start-up", "Canceling Requests in Progress", "SSL Session
Encryption" and "GSSAPI Session Encryption".
"""

import hmac
import struct
from dataclasses import dataclass

from holdtrue.stage.wire import protocol as p


@dataclass(frozen=True, kw_only=True)
class Say:
    """Bytes for the client."""

    data: bytes


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """A cancel request: process id and secret. Nothing else comes over this connection."""

    key: bytes


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """The client is who may come in."""

    version: int
    role: str
    parameters: dict[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """An error for the client, and the end."""

    code: str
    text: str


Step = Say | Cancel | Welcome | Refuse


class Introduction:
    """Takes what a client sends, until it is welcome or refused."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._version = 0
        self._parameters: dict[bytes, bytes] | None = None

    @property
    def _role(self) -> str:
        return (self._parameters or {}).get(b"user", b"").decode("utf-8", "replace")

    def next(self, inbox: bytearray) -> Step | None:
        """Take one packet from the front of `inbox`; None while it is incomplete. Raises ProtocolViolation."""
        if self._parameters is None:
            return self._startup(inbox)
        return self._check(inbox)

    def _startup(self, inbox: bytearray) -> Step | None:
        if len(inbox) < 8:
            return None
        length, code = struct.unpack_from("!II", inbox)
        if not 8 <= length <= p.STARTUP_LIMIT:
            raise p.ProtocolViolation(f"a startup packet of {length} bytes")
        if len(inbox) < length:
            return None
        body = bytes(inbox[8:length])
        del inbox[:length]
        if code in (p.SSL_REQUEST, p.GSSENC_REQUEST):
            # Loopback only, so no encryption is offered; sslmode=prefer goes on without, sslmode=require refuses.
            return Say(data=b"N")
        if code == p.CANCEL_REQUEST:
            return Cancel(key=body)
        if code >> 16 != 3:
            return Refuse(code="08P01", text=f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}")
        self._version, self._parameters = code, p.parse_startup_parameters(body)
        return Say(data=p.CLEARTEXT_PASSWORD)

    def _check(self, inbox: bytearray) -> Step | None:
        for kind, start, end in p.complete_messages(inbox):
            given = bytes(inbox[start : end - 1])
            del inbox[:end]
            if kind == p.PASSWORD and hmac.compare_digest(given, self._password):
                return Welcome(version=self._version, role=self._role, parameters=self._parameters or {})
            return Refuse(code="28P01", text=f'password authentication failed for user "{self._role}"')
        if len(inbox) > p.STARTUP_LIMIT:
            raise p.ProtocolViolation("a password message that does not end")
        return None
