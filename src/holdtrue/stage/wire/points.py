"""Points, and what can be set at them: cuts, holds and pauses."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from holdtrue.stage.wire.errors import WireError


@dataclass(frozen=True)
class Point:
    """The `ordinal`-th (from 0) statement of this shape that the process sends after arming.

    It stands for the whole unit that the statement is sent in: a query string with several statements, or a pipeline
    batch, is stopped or cut as one.
    """

    process: str
    shape: str
    ordinal: int = 0


@dataclass(frozen=True, kw_only=True)
class Held:
    """Who is being held, and where. `backend`: process id for pg_blocking_pids, 0 while there is no server side."""

    process: str
    connection: int
    backend: int
    transaction: int | None
    shape: str
    sql: str


Decision = Literal["release", "cut"]


class Trap(ABC):
    """Something set at a point; `disarm` takes it away again."""

    repeats = False

    def __init__(self, traps: "Traps", process: str) -> None:
        self.process = process
        self._traps = traps
        traps.add(self)

    @abstractmethod
    def matches(self, shapes: Sequence[str], *, in_transaction: bool) -> bool:
        """Whether a unit with these points runs into it. Every unit of the process is asked once, in order."""

    def disarm(self) -> None:
        """Take it away if it has not sprung; a no-op otherwise."""
        self._traps.discard(self)

    @property
    def armed(self) -> bool:
        return self in self._traps


class _AtPoint(Trap):
    def __init__(self, traps: "Traps", point: Point) -> None:
        super().__init__(traps, point.process)
        self.point = point
        self._seen = 0

    def matches(self, shapes: Sequence[str], *, in_transaction: bool) -> bool:
        count = shapes.count(self.point.shape)
        self._seen += count
        return count > 0 and self._seen > self.point.ordinal


class Arm(_AtPoint):
    """A cut that waits for its point.

    `fired` is set at the cut; `settled` when the backend that was cut off has ended, so that its open transaction is
    rolled back and the database can be read.
    """

    def __init__(self, traps: "Traps", point: Point, *, when: Literal["before", "after"]) -> None:
        super().__init__(traps, point)
        self.when = when
        self.fired = asyncio.Event()
        self.settled = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.disarm()


class Stop(Trap):
    """What keeps a request back until somebody decides."""

    @abstractmethod
    async def stop(self, held: Held) -> Decision:
        """Called by the session; returns the decision. Cancelled when the held client dies."""


class Hold(Stop, _AtPoint):
    """Stops one request before its point. A context manager that releases at its end, whatever happens."""

    def __init__(self, traps: "Traps", point: Point) -> None:
        _AtPoint.__init__(self, traps, point)
        self.held: Held | None = None
        self.ended = asyncio.Event()
        """Set when the request went on, was cut, or its client died."""
        self._reached = asyncio.Event()
        self._decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    @property
    def is_reached(self) -> bool:
        """A request stands at the point, or stood there."""
        return self.held is not None

    async def reached(self) -> Held:
        """Wait until a request stands at the point. Raises WireError when the hold was taken away before."""
        await self._reached.wait()
        if self.held is None:
            raise WireError(
                f"the hold at {self.point} was released before any request reached it",
                do="Wait for `reached` while the hold is in place.",
            )
        return self.held

    async def stop(self, held: Held) -> Decision:
        self.held = held
        self._reached.set()
        try:
            return await self._decision
        finally:
            self.ended.set()

    def release(self) -> None:
        """Let the request go on; without one, take the hold away."""
        self._decide("release")

    def cut(self) -> None:
        """Close both sides: the statement never reaches the server."""
        self._decide("cut")

    def _decide(self, decision: Decision) -> None:
        self.disarm()
        self._reached.set()
        if not self._decision.done():
            self._decision.set_result(decision)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Pause(Stop):
    """Stops every request of a process at its next point, until released: parks workers, fills connection pools.

    With `inside_transactions` false everything stops that is sent outside a transaction block, BEGIN and pings
    included, and nothing else: nobody is left holding locks.
    """

    repeats = True

    def __init__(self, traps: "Traps", process: str, *, inside_transactions: bool, seed: int) -> None:
        super().__init__(traps, process)
        self._inside = inside_transactions
        self._order = random.Random(seed)  # noqa: S311 - decides an order, guards nothing
        self._waiting: dict[asyncio.Future[Decision], Held] = {}
        self._changed = asyncio.Event()

    @property
    def held(self) -> tuple[Held, ...]:
        """Who is being held, in order of arrival."""
        return tuple(self._waiting.values())

    def matches(self, shapes: Sequence[str], *, in_transaction: bool) -> bool:
        return bool(shapes) if self._inside else not in_transaction

    async def stop(self, held: Held) -> Decision:
        if not self.armed:
            return "release"  # released between the unit's arrival and now: nobody would let it go any more
        decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting[decision] = held
        self._changed.set()
        try:
            return await decision
        finally:
            self._waiting.pop(decision, None)
            self._changed.set()

    async def changed(self) -> None:
        """Wait until somebody arrives or leaves."""
        self._changed.clear()
        await self._changed.wait()

    def release(self) -> None:
        """Let all go on, in an order that the wire's seed decides."""
        self.disarm()
        waiting = [decision for decision in self._waiting if not decision.done()]
        self._order.shuffle(waiting)
        for decision in waiting:
            decision.set_result("release")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Gate(Stop):
    """Stops a process before every statement of some shapes, and lets one through at a time: turns of a schedule.

    It stops before `writes`, and before `commits` of what was written; a transaction that only read passes.
    """

    repeats = True

    def __init__(
        self,
        traps: "Traps",
        process: str,
        *,
        writes: Collection[str],
        commits: Collection[str],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(traps, process)
        self._writes, self._commits = frozenset(writes), frozenset(commits)
        self._writing: set[int] = set()
        """Connections that have written since their last commit."""
        self._waiting: dict[asyncio.Future[Decision], Held] = {}
        self._changed = changed

    @property
    def held(self) -> Held | None:
        """Who has stood before it for longest."""
        return next((held for decision, held in self._waiting.items() if not decision.done()), None)

    def matches(self, shapes: Sequence[str], *, in_transaction: bool) -> bool:
        return any(shape in self._writes or shape in self._commits for shape in shapes)

    async def stop(self, held: Held) -> Decision:
        if not self.armed:
            return "release"
        if held.shape not in self._commits:
            self._writing.add(held.connection)
        elif held.connection not in self._writing:
            return "release"
        else:
            self._writing.discard(held.connection)
        decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting[decision] = held
        self._changed()
        try:
            return await decision
        finally:
            self._waiting.pop(decision, None)
            self._changed()

    def let_through(self) -> None:
        """Let the one go on who has stood there for longest; a no-op where nobody stands."""
        for decision in self._waiting:
            if not decision.done():
                decision.set_result("release")
                return

    def open(self) -> None:
        """Take it away, and let all go on."""
        self.disarm()
        for decision in self._waiting:
            if not decision.done():
                decision.set_result("release")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.open()


class Traps:
    """All that is armed."""

    def __init__(self) -> None:
        self._armed: dict[Trap, None] = {}

    def __bool__(self) -> bool:
        return bool(self._armed)

    def __contains__(self, trap: Trap) -> bool:
        return trap in self._armed

    def __iter__(self) -> Iterator[Trap]:
        return iter(tuple(self._armed))

    def add(self, trap: Trap) -> None:
        self._armed[trap] = None

    def discard(self, trap: Trap) -> None:
        self._armed.pop(trap, None)

    def sprung(self, process: str, shapes: Sequence[str], *, in_transaction: bool) -> list[Trap]:
        """What a unit with these points runs into; the statements in it are counted."""
        found = [t for t in self if t.process == process and t.matches(shapes, in_transaction=in_transaction)]
        for trap in found:
            if not trap.repeats:
                self.discard(trap)
        return found
