"""What can go wrong with a mail. No text of a mail server is quoted: it may repeat the recipient, or the mail."""

from __future__ import annotations

from holdtrue.runtime import Refused, TooMany, Unprocessable


class AddressRefused(Unprocessable):
    """Nothing that a mail can be sent to."""

    code = "email.address"


class SignatureRefused(Refused):
    """Not signed by anybody we know, too old, or from the future."""

    status = 400
    code = "email.signature"


class EventRefused(Unprocessable):
    """Rightly signed, and not understood."""

    code = "email.event"


class TooManyTests(TooMany):
    """Enough test mails for now."""

    code = "email.too_many_tests"


class Undelivered(Exception):  # noqa: N818  (an outcome)
    """A mail that the server did not take. ``str`` is safe to keep and to log: phase and codes."""

    def __init__(self, phase: str, code: int | None = None, enhanced: str = "", what: str = "") -> None:
        super().__init__(" ".join(str(each) for each in (phase, code, enhanced, what) if each))
        self.enhanced = enhanced


class Deferred(Undelivered):
    """Not now: a 4xx, no connection, or a trouble of ours that no other mail would be spared (a wrong password)."""


class Rejected(Undelivered):
    """Never: a 5xx to this recipient or this mail (RFC 5321, 4.2.1)."""

    @property
    def no_such_mailbox(self) -> bool:
        """Whether the address itself is at fault (RFC 3463, 3.2; RFC 7505)."""
        return self.enhanced in {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}


class OutcomeUnknown(Undelivered):
    """The mail was sent, and the server's answer never came: it may have it."""
