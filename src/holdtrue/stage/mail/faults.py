"""Where the mail server misbehaves, and how."""

import asyncio
import enum
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

from holdtrue.stage.mail.waiting import Signal

REPLY = re.compile(r"[45]\d\d [\x20-\x7e]+")


class Phase(enum.StrEnum):
    """A point in an SMTP conversation (RFC 5321 section 3), in order; a fault acts before the server's reply there."""

    CONNECT = "connect"  # TCP accepted, before the banner
    EHLO = "ehlo"  # EHLO or HELO
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the DATA command, before the 354
    BODY = "body"  # the whole mail was received, nothing is stored
    STORED = "stored"  # the mail is stored, the client does not know


class Action(enum.StrEnum):
    """What a fault does to a client that reaches its phase."""

    REFUSE = "refuse"
    HANG = "hang"
    DROP = "drop"


RECIPIENT_KNOWN = frozenset({Phase.RCPT, Phase.DATA, Phase.BODY, Phase.STORED})


class Fault:
    """One misbehaviour, from the moment it is set until it is lifted.

    As a context manager it is lifted at the end of the block, so that no client stays held behind a failed scenario.
    """

    def __init__(
        self, phase: Phase, action: Action, *, reply: str | None, to: str | None, times: int | None, patience: float
    ) -> None:
        if to is not None and phase not in RECIPIENT_KNOWN:
            raise ValueError(
                f"A fault at {phase.value} cannot be for {to!r}: SMTP names recipients only after that phase. "
                f"Leave `to` out, or use one of: {', '.join(p.value for p in Phase if p in RECIPIENT_KNOWN)}."
            )
        if (action is Action.REFUSE) != (reply is not None) or (reply is not None and not REPLY.fullmatch(reply)):
            raise ValueError(
                f"{reply!r} is not an SMTP refusal: a refusal needs one line, a code 400 to 599 and a text, for "
                "example '451 4.3.0 Try again later' (RFC 5321 section 4.2)."
            )
        if times is not None and times < 1:
            raise ValueError(f"times={times}: a fault acts at least once; leave it out for a fault without an end.")
        self.phase = phase
        self.action = action
        self.reply = reply
        self.to = to.lower() if to is not None else None
        self.times = times
        self.moments: list[float] = []
        """When clients met it: seconds of the event loop's clock."""
        self.held = 0
        self._patience = patience
        self._lifted = asyncio.Event()
        self._signal = Signal()

    @property
    def fired(self) -> int:
        """How many clients met it."""
        return len(self.moments)

    @property
    def lifted(self) -> bool:
        """Whether it is over, also for those it held."""
        return self._lifted.is_set()

    @property
    def active(self) -> bool:
        """Whether a client that reaches the phase now would meet this fault."""
        return not self._lifted.is_set() and (self.times is None or self.fired < self.times)

    def concerns(self, phase: Phase, recipients: Sequence[str]) -> bool:
        """Whether it acts on a client at this phase, with these recipients named so far."""
        to = self.to
        return (
            self.active
            and phase is self.phase
            and (to is None or any(fnmatchcase(address.lower(), to) for address in recipients))
        )

    def fire(self) -> None:
        """Count a client that met the fault."""
        self.moments.append(asyncio.get_running_loop().time())
        self._signal.notify()

    async def hold(self) -> None:
        """Keep a client until the fault is lifted (or its connection ends, which cancels this)."""
        self.held += 1
        try:
            await self._lifted.wait()
        finally:
            self.held -= 1
            self._signal.notify()

    async def reached(self, times: int = 1, *, patience: float | None = None) -> None:
        """Wait until clients met the fault so many times. Raises `MailTimeoutError`."""
        await self._signal.until(
            lambda: True if self.fired >= times else None,
            self._patience if patience is None else patience,
            lambda: (
                f"The fault ({self.action.value} at {self.phase.value}, to={self.to}) "
                f"was met {self.fired} times, not {times}: "
                "the app sent no such mail, or stopped earlier in the conversation. Look at the server's `attempts`."
            ),
        )

    def lift(self) -> None:
        """End the fault; whoever is held goes on as if it had never been."""
        self._lifted.set()
        self._signal.notify()

    async def release(self) -> None:
        """End the fault and wait until nobody is held by it any more."""
        self.lift()
        await self._signal.until(
            lambda: None if self.held else True, self._patience, lambda: f"{self.held} connections are still held."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lift()
