"""Where a change and its event do not commit together, as far as the wire tells: what is tried is nominated here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from holdtrue.stage.crew import WORKER
from holdtrue.stage.wire import Point, Statement, passed

_NAME = r'(?:"[^"]+"|[\w$]+)'
_TARGET = re.compile(
    rf"\b(?:insert into|update|delete from|merge into|copy)\s+(?:only\s+)?({_NAME}(?:\s*\.\s*{_NAME})?)"
)
Transaction = list[Statement]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where the connection is to be lost: the change is committed, and its event is not."""

    anchor: Point | None
    """The change's last write. A process that has just started says more before it, so counting begins here."""
    point: Point
    """Counted from behind the anchor; where there is none, from the start."""
    after: bool
    """Behind the point, instead of before it."""
    told: int
    """How many events are committed by then, at least."""

    @property
    def name(self) -> str:
        """Stable over runs: the statement's shape, not a bare count."""
        words = self.point.shape if len(self.point.shape) <= 60 else f"{self.point.shape[:57]}..."
        again = f" #{self.point.ordinal + 1}" if self.point.ordinal else ""
        return f"cut {'after' if self.after else 'before'} {self.point.process} `{words}`{again}"


def targets(statement: Statement) -> set[str]:
    """The tables that a statement says it writes, with their schema; the rest is done by functions and triggers."""
    if not statement.writes:
        return set()
    names = (re.sub(r'["\s]', "", name) for name in _TARGET.findall(statement.shape))
    return {name if "." in name else f"public.{name}" for name in names}


def cuts(statements: Iterable[Statement], covered: Collection[str], history: Collection[str]) -> list[Cut]:
    """The points between a change's commit and that of its event, where these are two transactions.

    A transaction that adds an event without any change tells of the change before it. One that does both tells of
    its own, and what was committed before it may have been a preparation: that is not taken for a change untold.
    """
    statements = list(statements)
    found: list[Cut] = []
    change: Transaction | None = None
    told = 0
    explicit = any(targets(each) & set(history) for each in statements)
    for transaction in _committed(statements):
        written = set().union(*(targets(each) for each in transaction))
        tells = bool(written & set(history)) or (not explicit and any(map(_by_function, transaction)))
        if written & set(covered):
            change = None if tells else transaction
        elif tells and change is not None:
            found += _between(statements, change, transaction, told)
            change = None
        told += sum(bool(targets(each) & set(history)) for each in transaction)
    return found


def _by_function(statement: Statement) -> bool:
    return statement.writes and not targets(statement)


def _committed(statements: list[Statement]) -> Iterator[Transaction]:
    """The transactions that wrote and were not rolled back, in the order in which they ended."""
    transactions: dict[tuple[int, int], Transaction] = {}
    for statement in statements:
        transactions.setdefault((statement.connection, statement.transaction), []).append(statement)
    for transaction in sorted(transactions.values(), key=lambda each: each[-1].seq):
        undone = any(map(_undoes, transaction))
        if any(each.writes for each in transaction) and not undone:
            yield transaction


def _undoes(statement: Statement) -> bool:
    """A rollback, or a COMMIT that the server answered as one."""
    refused = statement.kind == "commit" and (statement.sqlstate is not None or statement.tag == "ROLLBACK")
    return refused or statement.kind == "rollback"


def _between(statements: list[Statement], change: Transaction, event: Transaction, told: int) -> Iterator[Cut]:
    """Behind the last point of the change, then before each point up to the end of the event's transaction that writes.

    What a worker commits cannot be counted: an idle one commits, too.
    """
    first, last = change[-1].unit, event[-1].unit
    wrote = [(point, unit[0].unit) for point, unit in passed(statements) if _writes_in(unit, change)]
    anchor, number = wrote[-1]
    if number == first:
        yield Cut(anchor=None, point=anchor, after=True, told=told)
    for point, unit in passed(each for each in statements if each.unit > number):
        here, counts = unit[0].unit, point.process != WORKER or unit[0].kind != "commit"
        if here == first and counts:
            yield Cut(anchor=anchor, point=point, after=True, told=told)
        elif first < here <= last and counts and any(each.is_write_point for each in unit):
            yield Cut(anchor=anchor, point=point, after=False, told=told)


def _writes_in(unit: list[Statement], transaction: Transaction) -> bool:
    return any(each.writes and each in transaction for each in unit)
