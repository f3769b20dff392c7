"""A row taken apart into values with a place, JSON included."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from holdtrue.stage.database.catalog import Table
from holdtrue.stage.database.rows import Row, Value

_BY_CATEGORY = {"D": "time", "N": "number", "B": "boolean", "S": "text", "E": "enum"}
_BY_TYPE = {"uuid": "uuid", "bytea": "bytes", "tsvector": "text"}
_INTEGERS = {"smallint", "integer", "bigint"}
_JSON = {"json", "jsonb"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One value of a row, or one leaf of a JSON value in it."""

    column: str
    path: tuple[str, ...] = ()
    """Keys and positions that lead to a leaf of a JSON value."""
    value: Value
    kind: str
    """time, integer, number, boolean, text, uuid, enum, bytes or other."""

    @property
    def place(self) -> str:
        """Column and path for a person to read: `payload.items.0.price`."""
        return ".".join((self.column, *self.path))

    @property
    def general(self) -> tuple[str, tuple[str, ...]]:
        """Column and path with every position in a list as `*`: what noise is learned for."""
        return self.column, tuple("*" if step.isdigit() else step for step in self.path)

    @property
    def name(self) -> str:
        """The last name on the way to the value, which says what it means."""
        named = [step for step in self.path if not step.isdigit()]
        return named[-1] if named else self.column


def cells(table: Table | None, row: Row) -> Iterator[Cell]:
    """Every value of a row. Without a table (what a double says of itself), Python's types say what a value is."""
    kinds = {column.name: (column.type, column.category) for column in table.columns} if table else {}
    for column, value in row.items():
        type_, category = kinds.get(column, ("", ""))
        if type_ in _JSON and isinstance(value, str):
            yield from _leaves(column, (), json.loads(value, parse_float=Decimal))
        else:
            yield Cell(column=column, value=value, kind=_kind(type_, category, value))


def _kind(type_: str, category: str, value: Value) -> str:
    if type_ in _INTEGERS:
        return "integer"
    if not type_:
        return _python_kind(value)
    return _BY_TYPE.get(type_) or _BY_CATEGORY.get(category, "other")


def _python_kind(value: Value) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "text"


def _leaves(column: str, path: tuple[str, ...], value: Any) -> Iterator[Cell]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _leaves(column, (*path, key), value[key])
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from _leaves(column, (*path, str(position)), item)
    elif isinstance(value, dict | list):
        yield Cell(column=column, path=path, value=json.dumps(value), kind="other")
    elif isinstance(value, Decimal):
        yield Cell(column=column, path=path, value=str(value), kind="number")
    else:
        yield Cell(column=column, path=path, value=value, kind=_python_kind(value))
