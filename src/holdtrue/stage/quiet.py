"""Knows when nothing is going on any more: what an idle app says on the wire is learned, all else is work."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from itertools import pairwise

from holdtrue.stage.mail import MailServer, Outcome
from holdtrue.stage.wire import InFlight, Statement, Wire

SHORTEST = 0.08
"""Seconds of silence that mean rest, in an app that polls nothing: background tasks start within milliseconds."""
LEARNING = 0.6
"""Seconds of watching an idle app."""
PATIENCE = 20.0
"""Seconds after which an app that never rests is taken as it is."""


class Quiet:
    """Tells work from background polling."""

    def __init__(self, wire: Wire, mail: MailServer) -> None:
        self._wire = wire
        self._mail = mail
        self.background: set[tuple[str, str]] = set()
        """(process, shape) of statements that an idle app repeats."""
        self.interval = 0.0
        """The longest time between two polls, in seconds."""

    async def learn(self) -> None:
        """Watch an idle app: what it says now is background, and it is at rest when it says nothing else."""
        with self._wire.record() as recording:
            await asyncio.sleep(LEARNING)
        polls: dict[tuple[str, str], list[float]] = defaultdict(list)
        for statement in recording.statements:
            self.background.add((statement.process, statement.shape))
            polls[statement.process, statement.shape].append(statement.at)
        gaps = [later - earlier for times in polls.values() for earlier, later in pairwise(times)]
        # Where everything was said just once, it may come again only after as long as we watched.
        self.interval = max(gaps) if gaps else LEARNING if polls else 0.0

    def is_background(self, statement: Statement | InFlight) -> bool:
        """Whether an idle app says this, too."""
        return (statement.process, statement.shape) in self.background

    async def rest(self, *, patience: float = PATIENCE) -> bool:
        """Wait until two polls long nothing but background was said; False when patience ended first."""
        silence = max(SHORTEST, 2.2 * self.interval)
        until = time.monotonic() + patience
        with self._wire.record() as recording:
            seen, busy = 0, time.monotonic()
            while (now := time.monotonic()) < until:
                fresh = recording.statements[seen:]
                seen += len(fresh)
                if any(not self.is_background(statement) for statement in fresh) or self._working():
                    busy = now
                if now - busy >= silence:
                    return True
                await asyncio.sleep(min(silence / 4, 0.05))
        return False

    def _working(self) -> bool:
        return any(attempt.outcome is Outcome.OPEN for attempt in self._mail.attempts) or any(
            not self.is_background(statement) for statement in self._wire.in_flight()
        )
