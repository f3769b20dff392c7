"""What ran: statements, as the server saw them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from holdtrue.stage.wire.normalise import Kind
from holdtrue.stage.wire.points import Point


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One executed statement.

    A statement without `tag` and `sqlstate` is an empty query, a cursor that stopped at its row limit, or (`answered`
    false) one whose answer never came because the connection ended.
    """

    seq: int
    """Order in which the server's answers completed, over all listeners."""
    unit: int
    """Number of the piece that it was sent in: equal for the statements of one query string or pipeline batch."""
    process: str
    connection: int
    backend: int
    role: str
    transaction: int
    sql: str
    shape: str
    kind: Kind
    writes: bool
    is_point: bool
    protocol: Literal["simple", "extended"]
    parameters: tuple[bytes | None, ...]
    parameter_types: tuple[int, ...]
    parameter_formats: tuple[int, ...]
    answered: bool
    sqlstate: str | None
    message: str | None
    tag: str | None
    in_request: str | None
    at: float
    """When it was sent to the server: seconds of the event loop's monotonic clock."""
    took: float
    """Seconds until the server's answer was complete."""

    @property
    def is_write_point(self) -> bool:
        """Where a crash or a hold can make a difference: before a change of rows, or a commit."""
        return self.is_point and (self.writes or self.kind == "commit")


@dataclass(frozen=True, kw_only=True)
class Incident:
    """What was done to a connection at a point: cut, held, let go on."""

    what: Literal["cut before", "cut after", "held", "released"]
    process: str
    connection: int
    sql: str
    at: float
    """Seconds of the event loop's monotonic clock."""


class Recording:
    """A context manager; `statements` and `incidents` grow while it is open. Several may be open, nested or
    overlapping.
    """

    def __init__(self, open_recordings: "list[Recording]") -> None:
        self.statements: list[Statement] = []
        self.incidents: list[Incident] = []
        self._open = open_recordings
        self._labels: dict[str | None, str] = {}
        self._waiting: dict[asyncio.Future[Statement], Callable[[Statement], bool]] = {}

    def __enter__(self) -> Self:
        self._open.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.remove(self)

    @property
    def is_open(self) -> bool:
        return self in self._open

    @contextmanager
    def label(self, request: str, *, process: str | None = None) -> Iterator[None]:
        """Statements sent inside belong to `request`; with `process`, only that process's."""
        before = self._labels.get(process)
        self._labels[process] = request
        try:
            yield
        finally:
            if before is None:
                del self._labels[process]
            else:
                self._labels[process] = before

    def label_of(self, process: str) -> str | None:
        return self._labels.get(process) or self._labels.get(None)

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)
        for future, wanted in list(self._waiting.items()):
            if not future.done() and wanted(statement):
                future.set_result(statement)

    async def seen(self, wanted: Callable[[Statement], bool]) -> Statement:
        """The first statement that `wanted` accepts, waiting for it if need be."""
        for statement in self.statements:
            if wanted(statement):
                return statement
        future: asyncio.Future[Statement] = asyncio.get_running_loop().create_future()
        self._waiting[future] = wanted
        try:
            return await future
        finally:
            del self._waiting[future]

    def points(
        self, *, process: str | None = None, in_request: str | None = None, writes_only: bool = False
    ) -> list[Point]:
        """The points passed, in the order sent: arm them before the same thing happens again.

        One for each unit, by its first statement that is a point. Ordinals count from the start of the recording, so
        arm where the recording would start; `process`, `in_request` and `writes_only` leave out points without
        changing the ordinals of the others.
        """
        return [
            point
            for point, unit in passed(self.statements)
            if process in (None, unit[0].process)
            and in_request in (None, unit[0].in_request)
            and (not writes_only or any(statement.is_write_point for statement in unit))
        ]


def passed(statements: Iterable[Statement]) -> list[tuple[Point, list[Statement]]]:
    """The points passed by some statements, in the order sent, each with the point's statements that were sent as one.

    Ordinals count from the first of these statements.
    """
    units: dict[int, list[Statement]] = {}
    for statement in statements:
        if statement.is_point:
            units.setdefault(statement.unit, []).append(statement)
    found: list[tuple[Point, list[Statement]]] = []
    seen: Counter[tuple[str, str]] = Counter()
    for _, unit in sorted(units.items()):
        first = unit[0]
        found.append((Point(first.process, first.shape, seen[first.process, first.shape]), unit))
        seen.update((statement.process, statement.shape) for statement in unit)
    return found
