"""What a request, or a worker's turn, asked of the database, in numbers: connections, transactions, time spent idle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from holdtrue.stage.wire.recording import Statement

LOCKING = ("for update", "for no key update", "for share", "for key share", "lock table", "pg_advisory_")
"""How a statement asks for a lock in so many words; every write takes one, too."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of one process, while something was watched."""

    connections: int
    """How many it used. More than one within a request can stand still when the pool is empty."""
    statements: int
    transactions: int
    writes: int
    locks: int
    """Statements that ask for a lock in so many words."""
    idle_in_transaction: float
    """Seconds, the longest: how long others may have had to wait for the locks of somebody who did something else."""


def facts_of(statements: Iterable[Statement]) -> dict[str, Facts]:
    """The facts of each process that said something; pings and empty queries are not counted."""
    said: dict[str, list[Statement]] = defaultdict(list)
    for statement in statements:
        if statement.is_point:
            said[statement.process].append(statement)
    return {process: _facts(each) for process, each in said.items()}


def _facts(statements: list[Statement]) -> Facts:
    transactions: dict[tuple[int, int], list[Statement]] = defaultdict(list)
    for statement in sorted(statements, key=lambda each: each.at):
        transactions[statement.connection, statement.transaction].append(statement)
    pauses = (
        later.at - (earlier.at + earlier.took)
        for transaction in transactions.values()
        for earlier, later in pairwise(transaction)
    )
    return Facts(
        connections=len({statement.connection for statement in statements}),
        statements=len(statements),
        transactions=len(transactions),
        writes=sum(statement.writes for statement in statements),
        locks=sum(any(word in statement.shape for word in LOCKING) for statement in statements),
        idle_in_transaction=round(max(0.0, *pauses), 6) if len(statements) > len(transactions) else 0.0,
    )
