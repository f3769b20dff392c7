"""Trouble between the app and Stripe: refused, failed, hung, answered but lost; and requests held at a point."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from holdtrue.stage.payments.calls import Call

Mode = Literal["refuse", "error500", "hang", "lose_response", "rate_limit"]
Match = str | Callable[[Call], bool] | None
"""`POST /v1/refunds` with `*` for any part, a predicate over the call, or None for every call."""


def matches(match: Match, call: Call) -> bool:
    """Whether a call is meant."""
    if match is None:
        return True
    if callable(match):
        return match(call)
    return fnmatchcase(f"{call.method} {call.path}", match)


@dataclass(kw_only=True, eq=False)
class Outage:
    """Trouble for the calls that match, until it ends, or for the first `times` of them.

    - `refuse`: the connection closes, nothing happened;
    - `error500`: Stripe fails before it does anything; the idempotency key remembers the 500, as Stripe's does;
    - `hang`: no answer until the outage ends, then the connection closes; nothing happened;
    - `lose_response`: it happened, and the connection closes before the answer;
    - `rate_limit`: 429, nothing happened, no key remembers it.
    """

    mode: Mode
    match: Match = None
    times: int | None = None
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[Call] = field(default_factory=list)

    def takes(self, call: Call) -> bool:
        """Whether it strikes this call; counts it when it does."""
        if self.over.is_set() or (self.times is not None and len(self.calls) >= self.times):
            return False
        if not matches(self.match, call):
            return False
        self.calls.append(call)
        self.struck.set()
        return True


@dataclass(kw_only=True, eq=False)
class Hold:
    """Calls that match wait before anything happens, or `after` it all happened, and go on when they are released."""

    match: Match = None
    after: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[Call] = field(default_factory=list)
    _go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let the held calls go on; later ones do not wait."""
        self._go.set()

    async def wait(self, call: Call) -> None:
        """Wait here when the call is meant."""
        if not self._go.is_set() and matches(self.match, call):
            self.calls.append(call)
            self.arrived.set()
            await self._go.wait()
