"""What an app keeps about a purchase, cell by cell: which of them news of the provider changes, and what becomes of it.

Two right apps may write histories of different length about the same news, and two runs never agree on moments. So a
state is not compared whole: only cells of rows that *stand for* something are, and only against values they once had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from holdtrue.stage.database import Catalog, Difference, Snapshot, difference
from holdtrue.stage.database.looks import moment, names_retry
from holdtrue.stage.database.rows import Row, Value, key_text, short, text

NEW = "new"
"""Stands for the key of rows that were not there at the start: keys are made up anew in each run."""
GONE = ""
"""Stands for the column of a row that was deleted."""
NEAR = 600.0
"""Seconds from now; a moment so near says when something was done, not what."""


@dataclass(frozen=True, order=True, kw_only=True)
class Cell:
    """A column of one row that was there at the start, or of all rows of a table that were not."""

    table: str
    row: str
    column: str

    def __str__(self) -> str:
        which = "of the new row" if self.row == NEW else f"of {self.row}"
        return f"{short(self.table)} {which}" if self.column == GONE else f"{short(self.table)}.{self.column}"


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What has changed since the start. A cell that is not in it has the value it had then."""

    values: Mapping[Cell, tuple[Value, ...]]
    old: Mapping[Cell, Value] = field(default_factory=dict)
    """The value at the start of cells of rows that were there then."""

    @classmethod
    def of(cls, start: Snapshot, now: Snapshot, catalog: Catalog) -> Cells:
        """The cells of every row that is otherwise than at the start."""
        values: dict[Cell, tuple[Value, ...]] = {}
        old: dict[Cell, Value] = {}
        for table, changes in difference(start, now, catalog).tables.items():
            for each in changes.updated:
                for column in each.changed:
                    cell = Cell(table=table, row=key_text(each.key), column=column)
                    values[cell], old[cell] = (each.new[column],), each.old[column]
            for row in changes.deleted:
                values[Cell(table=table, row=_key(catalog, table, row), column=GONE)] = ("gone",)
            for column in changes.inserted[0] if changes.inserted else ():
                news = sorted((row[column] for row in changes.inserted), key=repr)
                values[Cell(table=table, row=NEW, column=column)] = tuple(news)
        return cls(values=values, old=old)

    def at(self, cell: Cell) -> tuple[Value, ...]:
        """The values of a cell; those of the start are told as nothing."""
        return self.values.get(cell, ())

    def told(self, cell: Cell) -> str:
        """A cell's values for a sentence."""
        values = self.at(cell) or ((self.old[cell],) if cell in self.old else ())
        return ", ".join(map(said, values)) or "as before"

    def moved(self, later: Cells, ignored: Collection[object] = ()) -> frozenset[Cell]:
        """The cells that stand for something and are otherwise ``later``.

        Not those that tell when or by what they were changed (moments near now, ``ignored`` values), nor counters; nor
        tables that have got more rows meanwhile, for those may be a history.
        """
        return frozenset(
            cell
            for cell in {*self.values, *later.values}
            if self.at(cell) != later.at(cell) and not self._tells_nothing(cell, later, ignored)
        )

    def _tells_nothing(self, cell: Cell, later: Cells, ignored: Collection[object]) -> bool:
        before, after = self.at(cell), later.at(cell)
        if cell.row == NEW and len(before) != len(after):
            return True
        return any(
            _is_near(value) or _mentions(value, ignored) or _counts(start, value)
            for start, value in zip(before or (later.old.get(cell),), after or (self.old.get(cell),), strict=True)
        )


def said(value: Value) -> str:
    """A value for a sentence."""
    return "null" if value is None else repr(text(value)) if isinstance(value, str) else text(value)


def sums(changed: Difference, catalog: Catalog, *, without: Collection[str] = ()) -> dict[tuple[str, str], Decimal]:
    """By how much each amount moved in sum over its table: (table, column) → how much. Keys and attempts are none."""
    moved: dict[tuple[str, str], Decimal] = {}
    for table, changes in changed.tables.items():
        if table in without:
            continue
        for column in _amounts(catalog, table):
            total = Decimal(0)
            for sign, row in (
                *((1, row) for row in changes.inserted),
                *((-1, row) for row in changes.deleted),
                *((1, each.new) for each in changes.updated),
                *((-1, each.old) for each in changes.updated),
            ):
                total += sign * _decimal(row.get(column))
            if total:
                moved[table, column] = total
    return moved


def _amounts(catalog: Catalog, table: str) -> Iterator[str]:
    known = catalog.get(table)
    if known is None:
        return
    keys = {*known.primary_key, *(column for key in known.foreign_keys for column in key.columns)}
    for column in known.columns:
        if column.category == "N" and column.name not in keys and not (column.serial or names_retry(column.name)):
            yield column.name


def _decimal(value: Value) -> Decimal:
    if value is None or moment(value) is not None:
        return Decimal(0)  # a number of seconds since 1970 is no amount
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)


def _key(catalog: Catalog, table: str, row: Row) -> str:
    known = catalog.get(table)
    return key_text(tuple(row[column] for column in (known.primary_key if known else ()) or tuple(row)))


def _is_near(value: Value) -> bool:
    found = moment(value)
    return found is not None and abs((datetime.now(UTC) - found).total_seconds()) < NEAR


def _mentions(value: Value, ignored: Collection[object]) -> bool:
    if isinstance(value, str):
        return any(isinstance(each, str) and each in value for each in ignored)
    return value in ignored and not isinstance(value, bool)


def _counts(before: Value, after: Value) -> bool:
    """Whether a number went up by one: a version, or how often something happened."""
    if isinstance(before, bool) or not isinstance(before, int) or not isinstance(after, int):
        return False
    return after == before + 1
