"""Two requests at once, in an order of our choosing: each runs to a statement and waits there while the other runs.

Where a race can go wrong is decided by the order of writes and commits, so these are where requests are held. A
schedule says who runs how far. That one waits for a lock of the other is an outcome and not a hang: PostgreSQL says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import comb
from random import Random
from typing import Literal

from holdtrue.stage.client import Answer
from holdtrue.stage.stage import Stage
from holdtrue.stage.wire import Gate, Statement

LOCK_LOOK = 0.004
"""Seconds between two looks at who waits for whose lock."""
PATIENCE = 1.0
"""Seconds in which a request that has its turn says something to the database; else it waits for something else."""

MOST_TWICE, SAMPLE = 16, 3
"""Schedules with two preemptions that are tried at most, and how many others are drawn."""

Side = Literal[0, 1]
Outcome = Literal["held", "waits", "ended"]


@dataclass(frozen=True, kw_only=True)
class Act:
    """One of the two requests: whose it is, and how it is sent."""

    process: str
    """The two need processes of their own: that is what keeps their statements apart."""
    send: Callable[[], Awaitable[Answer]]


@dataclass(frozen=True)
class Stops:
    """Where a request is held: before what it writes and commits."""

    writes: frozenset[str]
    commits: frozenset[str]
    """Shapes of its statements; a commit counts where something was written."""
    count: int
    """How many stops it passes when it runs alone."""
    told: frozenset[int]
    """Which of them, counted from 0, make what was written visible to others."""

    @classmethod
    def of(cls, statements: Iterable[Statement], process: str) -> Stops:
        """Learn them from a run alone."""
        said = [each for each in statements if each.process == process]
        writing = {each.transaction for each in said if each.writes}
        matter = [each for each in said if each.is_write_point and each.transaction in writing]
        # What is sent in one piece is stopped by its first statement.
        first: dict[int, Statement] = {}
        for each in said:
            if each.is_point and each.unit in {one.unit for one in matter}:
                first.setdefault(each.unit, each)
        units = defaultdict(set)
        for each in said:
            units[each.transaction].add(each.unit)
        # A transaction of one unit is one that nobody began: it commits by itself.
        visible = {each.unit for each in matter if each.kind == "commit" or len(units[each.transaction]) == 1}
        return cls(
            # COMMIT PREPARED counts wherever it is sent: what it commits was written in another transaction block.
            frozenset(each.shape for each in first.values() if each.kind != "commit" or each.writes),
            frozenset(each.shape for each in first.values() if each.kind == "commit" and not each.writes),
            len(first),
            frozenset(at for at, unit in enumerate(first) if unit in visible),
        )

    def told_before(self, stop: int) -> bool:
        """Whether others have seen something of it when it stands at a stop."""
        return any(each < stop for each in self.told)


@dataclass(frozen=True)
class Schedule:
    """Who runs how far: ``((0, 2), (1, None), (0, None))`` runs the first up to its third stop, then the second whole.

    A number is how many stops in all a side has passed when its turn ends; None is to the end.
    """

    turns: tuple[tuple[Side, int | None], ...]

    @property
    def preemptions(self) -> int:
        """How often somebody who could go on had to wait."""
        return sum(until is not None for _, until in self.turns)

    def __str__(self) -> str:
        """Such as ``first to 2, second whole``; stable over runs."""
        words = ("first", "second")
        return ", ".join(
            f"{words[side]} {'whole' if until is None else f'to stop {until + 1}'}" for side, until in self.turns
        )


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What came of one turn."""

    process: str
    outcome: Outcome
    statement: str
    """Where it stands, or what it waits with; empty at its end."""
    moment: float
    """When the turn ended, on the clock of the evidence."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of a schedule."""

    answers: tuple[Answer, Answer]
    turns: list[Turn]
    passed: tuple[int, int]
    """How many stops each had passed when it first had to wait, or else when it ended."""
    waited: tuple[bool, bool]
    """Whether each had to wait for the other."""
    aborted: list[str]
    """SQLSTATEs of deadlocks and serialisation failures: the server chose a victim, and that is an outcome, too."""


ABORTS = ("40P01", "40001")
"""deadlock_detected and serialization_failure (PostgreSQL, appendix A)."""


def _one_preemption(first: Stops, second: Stops, *, alike: bool) -> list[Schedule]:
    """Each side held at each of its stops while the other runs whole; of ``alike`` sides one tells for both."""
    return [
        Schedule(((side, at), (_other(side), None), (side, None)))
        for side, stops, _ in _sides(first, second, alike=alike)
        for at in range(stops.count)
    ]


def _two_preemptions(first: Stops, second: Stops, *, alike: bool) -> list[Schedule]:
    """The other side is held, too, and goes on when the first has ended."""
    return [
        Schedule(((side, at), (_other(side), then), (side, None), (_other(side), None)))
        for side, stops, others in _sides(first, second, alike=alike)
        for at in range(stops.count)
        for then in range(others.count)
    ]


def _sides(first: Stops, second: Stops, *, alike: bool) -> list[tuple[Side, Stops, Stops]]:
    return [(0, first, second)] if alike else [(0, first, second), (1, second, first)]


def _any(first: Stops, second: Stops, random: Random) -> Schedule:
    """Any schedule, drawn by a seed."""
    order: list[Side] = [0 for _ in range(first.count + 1)]
    order += [1 for _ in range(second.count + 1)]
    random.shuffle(order)
    counts, passed = (first.count, second.count), [0, 0]
    turns: list[tuple[Side, int | None]] = []
    for side, following in zip(order, [*order[1:], None], strict=True):
        passed[side] += 1
        if side != following:
            turns.append((side, passed[side] - 1 if passed[side] <= counts[side] else None))
    return Schedule(tuple(turns))


def _other(side: Side) -> Side:
    return 1 if side == 0 else 0


class Exploration:
    """The schedules of two requests that can differ, and a sample of the others.

    Other transactions see what is committed, and nothing before. So one preemption shows whatever two requests of one
    transaction each can do to each other; a second one tells more only where a side has committed something when it is
    held. Iterate over it, play each, and ``note`` what came of it: where the second had to wait for a lock of the
    first, it comes to none of its later stops before the first has ended.
    """

    def __init__(self, first: Stops, second: Stops, *, alike: bool, seed: int) -> None:
        self._first, self._second = first, second
        self._alike = alike
        self._random = Random(seed)  # noqa: S311 - draws a sample, guards nothing
        self._reached: dict[Schedule, int] = {}
        """How far the one that was not held came, where it had to wait."""
        self._tried: dict[Schedule, None] = {}

    @property
    def left(self) -> int:
        """How many interleavings of the stops there are beside those that were tried."""
        stops = self._first.count + self._second.count + 2
        possible = comb(stops, self._first.count + 1) // (2 if self._alike else 1)
        return max(0, possible - len(self._tried))

    def note(self, schedule: Schedule, played: Played) -> None:
        """Learn from what came of a schedule."""
        other = _other(schedule.turns[0][0])
        process = played.turns[1].process if len(played.turns) > 1 else ""
        for_a_lock = any(
            turn.process == process and turn.outcome == "waits" and turn.statement for turn in played.turns
        )
        if played.waited[other] and for_a_lock:
            self._reached[schedule] = played.passed[other]

    def __iter__(self) -> Iterator[Schedule]:
        """Each schedule once; what was noted of the earlier ones decides about the later."""
        once = _one_preemption(self._first, self._second, alike=self._alike)
        yield from self._new(each for each in once if not self._waits_as_before(each))
        twice = [each for each in _two_preemptions(self._first, self._second, alike=self._alike) if self._differs(each)]
        yield from self._new(twice if len(twice) <= MOST_TWICE else self._random.sample(twice, MOST_TWICE))
        if self._first.count + self._second.count > 2:
            drawn = (_any(self._first, self._second, self._random) for _ in range(SAMPLE * 8))
            yield from islice(self._new(each for each in drawn if each.preemptions > 1), SAMPLE)

    def _new(self, schedules: Iterable[Schedule]) -> Iterator[Schedule]:
        for each in schedules:
            if each not in self._tried:
                self._tried[each] = None
                yield each

    def _waits_as_before(self, schedule: Schedule) -> bool:
        """Whether the second waits, as at an earlier stop: for a lock that the first has held since, uncommitted."""
        side, at = schedule.turns[0]
        told = (self._first, self._second)[side].told
        earlier = (each.turns[0] for each in self._reached if each.preemptions == 1)
        return at is not None and any(
            one == side and then is not None and then < at and not told & frozenset(range(then, at))
            for one, then in earlier
        )

    def _differs(self, schedule: Schedule) -> bool:
        """Whether a second preemption can tell more than the first alone."""
        (side, at), (other, then), *_ = schedule.turns
        if at is None or then is None or self._waits_as_before(schedule):
            return False
        stops = (self._first, self._second)
        reached = self._reached.get(Schedule(((side, at), (other, None), (side, None))), then + 1)
        return then < reached and (stops[side].told_before(at) or stops[other].told_before(then))


async def play(stage: Stage, schedule: Schedule, acts: tuple[Act, Act], stops: tuple[Stops, Stops]) -> Played:
    """Play a schedule to its end; both requests are answered afterwards, whatever became of them."""
    with contextlib.ExitStack() as exit_, stage.wire.record() as recording:
        run = _Run(stage)
        gates = [
            exit_.enter_context(
                stage.wire.gate(act.process, writes=each.writes, commits=each.commits, changed=run.changed.set)
            )
            for act, each in zip(acts, stops, strict=True)
        ]
        sides = [_Side(act, gate) for act, gate in zip(acts, gates, strict=True)]
        try:
            for side, until in schedule.turns:
                await run.turn(sides[side], until)
        finally:
            for gate in gates:
                gate.open()
            answers = [await side.end() for side in sides]
        played = Played(
            answers=(answers[0], answers[1]),
            turns=run.turns,
            passed=(sides[0].reached, sides[1].reached),
            waited=(sides[0].waited is not None, sides[1].waited is not None),
            aborted=[each.sqlstate for each in recording.statements if each.sqlstate in ABORTS],
        )
    stage.player.evidence.add(
        "interleaving",
        schedule=str(schedule),
        turns=[
            {
                "process": turn.process,
                "statement": turn.statement,
                "outcome": turn.outcome,
                "at": round(turn.moment - stage.player.evidence.began, 6),
            }
            for turn in played.turns
        ],
        answers=[answer.describe() for answer in played.answers],
        aborted=played.aborted,
    )
    return played


class _Side:
    def __init__(self, act: Act, gate: Gate) -> None:
        self.act = act
        self.gate = gate
        self.passed = 0
        self.waited: int | None = None
        self.task: asyncio.Task[Answer] | None = None

    @property
    def reached(self) -> int:
        return self.passed if self.waited is None else self.waited

    def begin(self, changed: Callable[[], None]) -> asyncio.Task[Answer]:
        if self.task is None:
            self.task = asyncio.ensure_future(self.act.send())
            self.task.add_done_callback(lambda _: changed())
        return self.task

    async def end(self) -> Answer:
        return await self.begin(lambda: None)


class _Run:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.changed = asyncio.Event()
        self.turns: list[Turn] = []

    async def turn(self, side: _Side, until: int | None) -> None:
        """Let one side run until it has passed so many stops, waits for the other, or has ended."""
        task = side.begin(self.changed.set)
        outcome, statement = await self._until(side, task, until)
        if outcome == "waits" and side.waited is None:
            side.waited = side.passed
        self.turns.append(
            Turn(
                process=side.act.process,
                outcome=outcome,
                statement=statement,
                moment=self._stage.player.evidence.clock(),
            )
        )

    async def _until(self, side: _Side, task: asyncio.Task[Answer], until: int | None) -> tuple[Outcome, str]:
        clock = asyncio.get_running_loop().time
        said = clock()
        while not task.done():
            self.changed.clear()
            if (held := side.gate.held) is not None:
                if until is not None and side.passed >= until:
                    return "held", held.sql
                side.passed += 1
                side.gate.let_through()
                said = clock()
                await asyncio.sleep(0)
                continue
            for statement in self._asked(side):
                said = clock()
                if await self._is_blocked(statement[0]):
                    return "waits", statement[1]
            if clock() - said > PATIENCE:
                return "waits", ""
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), LOCK_LOOK)
        return "ended", ""

    def _asked(self, side: _Side) -> Iterator[tuple[int, str]]:
        for each in self._stage.wire.in_flight():
            if each.process == side.act.process and not each.held and each.backend:
                yield each.backend, each.sql

    async def _is_blocked(self, backend: int) -> bool:
        """By anybody: nobody but the two is at work, and the worker is parked."""
        return bool(await self._stage.clone.blockers(backend))
