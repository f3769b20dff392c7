"""What equal runs may differ in: columns learned to be volatile, and rows learned to be book-keeping."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from holdtrue.stage.database.cells import Cell
from holdtrue.stage.database.rows import Changes, Difference, Row, Update, short

How = Literal["time", "random", "parts", "key", "retry"]
_SAYS: Mapping[How, str] = {
    "time": "compared by its distance from now, in days",
    "random": "compared by whether it is null",
    "parts": "compared without the times and tokens in it",
    "key": "renamed, and followed where it is referred to",
    "retry": "not compared",
}


@dataclass(frozen=True, kw_only=True)
class NoisyColumn:
    """A column, or a path in a JSON column, that differs between two runs of one scenario."""

    table: str
    column: str
    path: tuple[str, ...] = ()
    how: How
    why: str

    def describe(self) -> str:
        """One line for the report."""
        place = ".".join((short(self.table), self.column, *self.path))
        return f"{place}: {self.why}; {_SAYS[self.how]}"


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Everything that was learned to be volatile. A mask can hide a wrong value, so the report prints it."""

    columns: tuple[NoisyColumn, ...] = ()

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, tuple[str, ...]], NoisyColumn]:
        return {(each.table, each.column, each.path): each for each in self.columns}

    def at(self, table: str, cell: Cell) -> NoisyColumn | None:
        """What is known of a cell's volatility."""
        column, path = cell.general
        return self._by_place.get((table, column, path))

    def keys(self, table: str) -> frozenset[str]:
        """Columns whose values the app makes up for new rows."""
        return frozenset(each.column for each in self.columns if each.table == table and each.how == "key")

    def with_columns(self, more: tuple[NoisyColumn, ...]) -> "Noise":
        """This and more; what is known already stays."""
        known = {(each.table, each.column, each.path): each for each in (*more, *self.columns)}
        return Noise(columns=tuple(known[place] for place in sorted(known)))

    def describe(self) -> list[str]:
        """One line per column, for the report."""
        return [each.describe() for each in self.columns]


@dataclass(frozen=True, kw_only=True)
class Bookkeeping:
    """Shapes of rows that a request leaves although it did nothing: inbox rows, counters, request logs, denials.

    A shape is a table with the columns that are filled (a new row) or that change (an old one); never a whole table.
    """

    inserted: frozenset[tuple[str, frozenset[str]]] = frozenset()
    updated: frozenset[tuple[str, frozenset[str]]] = frozenset()
    deleted: frozenset[str] = frozenset()
    why: Mapping[str, str] = field(default_factory=dict)

    def learn(self, neutral: Difference, why: str = "changed by a request that did nothing") -> "Bookkeeping":
        """This, and what a neutral or refused request changed."""
        tables = neutral.tables.items()
        return Bookkeeping(
            inserted=self.inserted | {(name, _filled(row)) for name, each in tables for row in each.inserted},
            updated=self.updated | {(name, frozenset(row.changed)) for name, each in tables for row in each.updated},
            deleted=self.deleted | {name for name, each in tables if each.deleted},
            why={**dict.fromkeys(neutral.tables, why), **self.why},
        )

    def has_inserted(self, table: str, row: Row) -> bool:
        """Whether a new row is book-keeping."""
        return (table, _filled(row)) in self.inserted

    def has_updated(self, table: str, update: Update) -> bool:
        """Whether a change of an old row is book-keeping: it changes nothing that a neutral request would not."""
        return any(name == table and set(update.changed) <= columns for name, columns in self.updated)

    def subtract(self, difference: Difference) -> Difference:
        """The difference without what is book-keeping."""
        kept = {
            name: Changes(
                inserted=tuple(row for row in each.inserted if not self.has_inserted(name, row)),
                updated=tuple(row for row in each.updated if not self.has_updated(name, row)),
                deleted=() if name in self.deleted else each.deleted,
            )
            for name, each in difference.tables.items()
        }
        return Difference(
            tables={name: each for name, each in kept.items() if each != Changes()}, oversized=difference.oversized
        )

    def describe(self) -> list[str]:
        """One line per shape, for the report."""
        lines = [f"{short(name)}: a new row with {_list(columns)}; {self.why[name]}" for name, columns in self.inserted]
        lines += [f"{short(name)}: a change of {_list(columns)}; {self.why[name]}" for name, columns in self.updated]
        lines += [f"{short(name)}: a removed row; {self.why[name]}" for name in self.deleted]
        return sorted(lines)


def _filled(row: Row) -> frozenset[str]:
    return frozenset(column for column, value in row.items() if value is not None)


def _list(columns: frozenset[str]) -> str:
    return ", ".join(sorted(columns))
