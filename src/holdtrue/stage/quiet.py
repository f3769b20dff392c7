"""Knows when nothing is going on any more: what an idle app says on the wire is learned, all else is work."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from holdtrue.stage.crew import WEB, WORKER, Crew
from holdtrue.stage.habits import Habits, Key, key_of, learned
from holdtrue.stage.mail import MailServer, Outcome
from holdtrue.stage.payments import StripeDouble
from holdtrue.stage.stillness import Stillness
from holdtrue.stage.wire import InFlight, Pause, Recording, Statement, Wire

STEP, STILL = 0.004, 0.012
"""Seconds between two looks at the app's threads, and seconds in which none of them ran that mean rest."""
SILENCE, LONG_SILENCE = 0.1, 1.0
"""Seconds without work on the wire that mean rest: where threads cannot be seen, and where they never stood still."""
BUSY_POLLING = 0.5
"""Seconds in which nothing but polls, often, mean rest even where the worker's threads never stand still."""
ENOUGH = 2
"""Polls in a row, without work in between, that mean that there is none: what polls again has found nothing."""
LEARNING, LONG_LEARNING = 0.6, 6.0
"""Seconds of watching an idle app: one that says nothing or much, and one that polls slowly."""
OFTEN = 8
"""An idle statement that was heard so often has let every other loop be heard twice, even on a busy machine."""
TURNS = 10
"""Turns of our own loop in which a connection that has come is known for one, and what it says is read."""
LATE, LONGEST = 3.0, 3.0
"""A loop that has not polled for this many of its intervals, and seconds, is not waited for: it may have ended."""
PATIENCE = 20.0
"""Seconds after which an app that never rests is taken as it is."""


@dataclass
class _SinceWork:
    """What was seen since the app last did any work."""

    at: float
    """When that ended."""
    polled: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each loop has heard that there is none."""
    calm: bool = False
    """The worker stood still. Once is enough: whoever did, and has polled as well, only polls."""

    def work(self, at: float) -> None:
        """There was work, until then; what was seen before tells nothing."""
        self.at, self.calm = at, False
        self.polled.clear()


class Quiet:
    """Tells work from background polling, and parks the worker between the cases that need it."""

    def __init__(self, wire: Wire, mail: MailServer, payments: StripeDouble, crew: Crew) -> None:
        self._wire = wire
        self._mail = mail
        self._payments = payments
        self._web, self._worker = (
            Stillness(partial(crew.pids, kind), alone=partial(crew.guard_pids, kind)) for kind in (WEB, WORKER)
        )
        self.habits = Habits()
        self._parked: Pause | None = None
        self._stale: set[int] = set()
        """Connections whose next poll was parked: it asks for what was due then, and does not count."""

    async def learn(self, *, worker: bool) -> None:
        """Watch an idle app: what it says now is background, and what it repeats is a poll for work.

        One with a ``worker`` that does not poll often is watched for longer.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        with self._wire.record() as recording:
            first = await self._until_known(recording, worker=worker)
        again = {key_of(statement) for statement in recording.statements[first:]}
        said = [statement for statement in recording.statements if key_of(statement) in again]
        self.habits = learned(said, clock() - began)

    async def _until_known(self, recording: Recording, *, worker: bool) -> int:
        """Watch until nothing new is heard, and return from which statement on all is habit.

        Each statement that is heard for the first time begins the watch anew.
        """
        clock = asyncio.get_running_loop().time
        began = start = clock()
        heard: Counter[Key] = Counter()
        known: set[Key] = set()
        seen = first = middle = 0
        while (now := clock()) - start < LONG_LEARNING and now - began < PATIENCE:
            fresh = Counter(key_of(statement) for statement in recording.statements[seen:])
            seen += fresh.total()
            heard += fresh
            if fresh.keys() - known:
                known |= fresh.keys()
                start, first, heard = now, seen, Counter()
            if now - start < LONG_LEARNING / 2:
                middle = seen
            if now - start >= LEARNING and not (known or worker):
                break
            if now - start >= LEARNING / 2 and min(heard.values(), default=0) >= OFTEN:
                break
            await asyncio.sleep(LEARNING / 12)
        else:
            # Somebody was still starting: beside what is said often, what stops half-way is no habit.
            return middle if max(heard.values(), default=0) >= OFTEN else first
        return first

    def is_background(self, statement: Statement | InFlight) -> bool:
        """Whether an idle app says this, too."""
        return self.habits.are_heard_in(statement)

    def is_polling(self, process: str) -> bool:
        """Whether a process of that kind was heard to look for work while it was idle."""
        kind = WORKER if process == WORKER else WEB
        return any(of == kind for of, _ in self.habits.polls)

    @property
    def parked(self) -> bool:
        """Whether the worker is held between two polls; it was at rest when that began."""
        return self._parked is not None

    @property
    def all_parked(self) -> bool:
        """Whether every loop that looks for work is held before its next look, and nobody else of the worker is."""
        polls = self.habits.polls
        return (
            self._parked is not None
            and all(process == WORKER for process, _ in polls)
            and len(self._parked.held) == len(polls)
        )

    async def rest(self, *, polls: bool = True, patience: float = PATIENCE) -> bool:
        """Wait until every loop has polled once and found nothing to do; False when patience ended first.

        Without ``polls`` the worker stays as it is, and only the web processes are waited for.
        """
        if polls:
            self.unpark()
        clock = asyncio.get_running_loop().time
        start = clock()
        since = _SinceWork(start)
        late: set[tuple[int, str]] = set()
        with self._wire.record() as recording:
            seen = 0
            while (now := clock()) < start + patience:
                fresh = recording.statements[seen:]
                seen += len(fresh)
                for statement in fresh:
                    if not self.is_background(statement):
                        since.work(max(since.at, statement.at + statement.took))
                    elif (
                        statement.connection in self._stale
                        and (again := (statement.connection, statement.shape)) not in late
                    ):
                        late.add(again)
                    elif statement.at >= since.at:
                        since.polled[key_of(statement)].append(statement.at + statement.took)
                asked = self._asked()
                if self._working(asked):
                    since.work(now)
                if polls and not since.calm and all(statement.process != WORKER for statement in asked):
                    since.calm = self._is_settled(since.at, now, self._worker, still=STEP)
                settled = self._is_settled(since.at, now, self._web) and (not polls or self._has_polled(since, now))
                if settled and not self._has_begun(asked) and not await self._is_approached(recording, seen):
                    if polls:
                        self._stale.clear()
                    return True
                await asyncio.sleep(STEP)
        return False

    def park(self) -> None:
        """Hold the worker before its next poll: it is given no work, and its polls cost time."""
        if self._parked is None and any(process == WORKER for process, _ in self.habits.polls):
            self._parked = self._wire.pause(WORKER, inside_transactions=False)

    def unpark(self) -> None:
        """Let the worker go on."""
        if self._parked is not None:
            self._stale |= {held.connection for held in self._parked.held}
            self._parked.release()
            self._parked = None

    def _has_polled(self, since: _SinceWork, now: float) -> bool:
        """Whether the worker is calm, and each of its loops has found no work after the last was done."""
        times = {key: since.polled[key] for key in self.habits.polls}
        if not all(times.values()) or not times:
            # It is woken by what it is given, or polls so rarely that it is not waited for.
            enough = max(LATE * self.habits.interval, LONGEST) if times else self.habits.interval
            return now - since.at >= enough and self._is_settled(since.at, now, self._worker)
        # Where no answer tells, a poll that found something is followed by work at once.
        if any(len(each) < ENOUGH and not self.habits.tells(key) for key, each in times.items()):
            return self._is_settled(max(each[0] for each in times.values()), now, self._worker)
        # Loops that poll all the time never stand still; but one that polls again and again is at no work.
        return since.calm or (now - since.at >= BUSY_POLLING and min(map(len, times.values())) >= OFTEN)

    def _is_settled(self, busy: float, now: float, processes: Stillness, still: float = STILL) -> bool:
        """Whether what ended at ``busy`` was followed by nothing."""
        if now - max(busy, processes.since(now, step=STEP)) >= still:
            processes.rests = True
            return True
        if processes.rests:
            return False
        return now - busy >= (LONG_SILENCE if processes.tells else SILENCE)

    def _asked(self) -> list[InFlight]:
        """What the server was asked and has not answered."""
        return [statement for statement in self._wire.in_flight() if not statement.held]

    def _working(self, asked: Iterable[InFlight]) -> bool:
        """Whether the app waits for one of the instruments."""
        return (
            self._payments.awaited
            or self._wire.greeting
            or any(attempt.outcome is Outcome.OPEN and not attempt.ended for attempt in self._mail.attempts)
            or not all(self.is_background(statement) for statement in asked)
        )

    def _has_begun(self, asked: Iterable[InFlight]) -> bool:
        """Whether somebody is about to say something: an idle app says BEGIN, too, but something comes behind it."""
        return any(key_of(statement) not in self.habits.polls for statement in asked)

    async def _is_approached(self, recording: Recording, seen: int) -> bool:
        """Whether the app waits for what we did not get round to: take in what has arrived, and look again."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        fresh, asked = recording.statements[seen:], self._asked()
        return self._working(asked) or self._has_begun(asked) or not all(map(self.is_background, fresh))
