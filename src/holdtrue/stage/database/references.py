"""Who refers to whom among the rows a scenario made: by foreign key, by name, and inside text and JSON."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from holdtrue.stage.database.catalog import Catalog, ForeignKey, Table
from holdtrue.stage.database.cells import Cell
from holdtrue.stage.database.noise import Noise
from holdtrue.stage.database.rows import Difference, Row, Value, short

Node = tuple[str, int]
"""A row that the scenario made: its table, and its place among the table's new rows."""

_WORD = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z_-]*[0-9A-Za-z])?")
_POLYMORPHIC = ("_id", "_key", "_ref", "_pk")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PADDED = re.compile(r"(?<!\d)0+[1-9]\d*(?!\d)")


class References:
    """The new rows of one difference, and how to find them by what other rows say of them."""

    def __init__(self, catalog: Catalog, difference: Difference, noise: Noise) -> None:
        self._catalog = catalog
        self._noise = noise
        self._soft = cache(self._soft_target)
        self._keys = cache(self._own_keys)
        self._rows: dict[Node, Row] = {}
        self._by_column: dict[tuple[str, str], dict[Value, list[Node]]] = defaultdict(lambda: defaultdict(list))
        self._by_text: dict[str, set[Node]] = defaultdict(set)
        for name, changes in difference.tables.items():
            for number, row in enumerate(changes.inserted):
                self._learn((name, number), row)
        tables = (catalog.get(name) for name in sorted({node[0] for node in self._rows}))
        self._integer_keys = [
            (table.full_name, key) for table in tables if table and (key := self._integer_key(table)) is not None
        ]
        self._mention = self._mention_pattern()

    def own_keys(self, table: str) -> frozenset[str]:
        """Columns of a table that hold made-up values in new rows: from a sequence, random, or learned to be so."""
        return self._keys(table)

    def refers(self, table: str, column: str) -> bool:
        """Whether a column refers to another table, by declaration or by its name."""
        known = self._catalog.get(table)
        return bool(known and any(column in key.columns for key in known.foreign_keys)) or (
            column not in self.own_keys(table) and self._soft(table, column) is not None
        )

    def resolve(self, table: str, row: Row, cell: Cell) -> tuple[str | None, tuple[Node, ...]]:
        """The value with a mark instead of every new row it refers to, and those rows in order."""
        if cell.value is None:
            return None, ()
        if isinstance(cell.value, bool) or cell.kind in ("boolean", "time", "enum", "number"):
            return _plain(cell.value), ()
        found = self._one(table, row, cell)
        if found is not None:
            return f"«{short(found[0])}»", (found,)
        if isinstance(cell.value, str):
            return self._inside(cell.value)
        return _plain(cell.value), ()

    def padded_key(self, node: Node, value: str) -> str:
        """A text with the row's own number in it, as `INV-00042` is, without the number."""
        own = {self._rows[node][column] for column in self.own_keys(node[0])}
        return _PADDED.sub(lambda match: "«key»" if int(match[0]) in own else match[0], value)

    def _learn(self, node: Node, row: Row) -> None:
        self._rows[node] = row
        for column in self.own_keys(node[0]):
            value = row.get(column)
            if value is not None:
                self._by_column[node[0], column][value].append(node)
                if isinstance(value, str):
                    self._by_text[value].add(node)
                    self._by_text[value.replace("-", "")].add(node)

    def _own_keys(self, name: str) -> frozenset[str]:
        table = self._catalog.get(name)
        if table is None:
            return self._noise.keys(name)
        declared = {column for key in table.foreign_keys for column in key.columns}
        made_up = {column.name for column in table.columns if column.serial or column.random}
        made_up |= {column for column in table.primary_key if self._is_own_uuid(table, column)}
        return frozenset(made_up - declared) | self._noise.keys(name)

    def _is_own_uuid(self, table: Table, column: str) -> bool:
        """Whether a UUID in the primary key is the row's own, rather than the undeclared key of another table."""
        if table.column(column).type != "uuid":
            return False
        base = _CAMEL.sub("_", column).lower().removesuffix("_id")
        others = (each for each in self._catalog if each.full_name != table.full_name)
        return column in ("id", "uuid") or (
            len(table.primary_key) == 1 and not any(base in _names(other) for other in others)
        )

    def _one(self, table: str, row: Row, cell: Cell) -> Node | None:
        """The one new row that a whole value stands for."""
        known = self._catalog.get(table)
        if known is not None and not cell.path:
            declared = [key for key in known.foreign_keys if cell.column in key.columns]
            for key in declared:
                if (found := self._by_key(key, cell.column, row)) is not None:
                    return found
            if declared:
                return None
        if isinstance(cell.value, str) and len(nodes := self._by_text.get(cell.value, set())) == 1:
            return next(iter(nodes))
        return self._by_name(table, row, cell)

    def _by_key(self, key: ForeignKey, column: str, row: Row, depth: int = 0) -> Node | None:
        target_column = key.target_columns[key.columns.index(column)]
        if target_column in self.own_keys(key.target):
            nodes = self._by_column[key.target, target_column].get(row[column], [])
            pairs = list(zip(key.columns, key.target_columns, strict=True))
            fitting = [n for n in nodes if all(row[mine] == self._rows[n].get(its) for mine, its in pairs)]
            return fitting[0] if len(fitting) == 1 else None
        # A composite key: (tenant_id, order_id) → orders (tenant_id, id), whose tenant_id refers on to tenants.
        target = self._catalog.get(key.target)
        for onward in target.foreign_keys if target and depth < 8 else ():
            if target_column in onward.columns and len(onward.columns) == 1:
                return self._by_key(onward, target_column, {target_column: row[column]}, depth + 1)
        return None

    def _by_name(self, table: str, row: Row, cell: Cell) -> Node | None:
        """An integer named after a table (`order_id`), or beside the name of one (`entity_type`, `entity_id`)."""
        number = _number(cell.value)
        if number is None or (not cell.path and cell.column in self.own_keys(table)):
            return None
        name = cell.name
        if cell.path and name == "id" and len(cell.path) > 1:
            name = f"{cell.path[-2]}_id"
        target = self._soft(table, name) or self._typed(table, row, cell) or self._hinted(row, name, number)
        if target is None:
            return None
        nodes = self._by_column[target].get(number, [])
        return nodes[0] if len(nodes) == 1 else None

    def _typed(self, table: str, row: Row, cell: Cell) -> tuple[str, str] | None:
        base = next((cell.column.removesuffix(end) for end in _POLYMORPHIC if cell.column.endswith(end)), None)
        kind = row.get(f"{base}_type") or row.get(f"{base}_table") or row.get(f"{base}_kind") if base else None
        return self._soft(table, f"{kind}_id") if isinstance(kind, str) else None

    def _hinted(self, row: Row, name: str, number: int) -> tuple[str, str] | None:
        """The table of an `id` that does not say whose it is: one that the row names, as `order.created` does."""
        if name != "id" and not name.endswith(_POLYMORPHIC):
            return None
        made = [place for place in self._integer_keys if number in self._by_column[place]]
        said = [_words(value) for value in row.values() if isinstance(value, str)]
        named = {
            place: max(
                (len(name) for name in self._names_of(place[0]) if any(f"_{name}_" in each for each in said)), default=0
            )
            for place in made
        }
        longest = max(named.values(), default=0)
        fitting = [place for place, length in named.items() if length == longest]
        return fitting[0] if len(fitting) == 1 and (longest or name == "id") else None

    def _names_of(self, table: str) -> set[str]:
        known = self._catalog.get(table)
        return _names(known) if known else set()

    def _soft_target(self, table: str, column: str) -> tuple[str, str] | None:
        """The table, and its integer key, that a column without foreign key is named after."""
        words = _CAMEL.sub("_", column).lower()
        if not words.endswith("_id"):
            return None
        base = words.removesuffix("_id")
        fitting = [
            (len(name), target.full_name, key)
            for target in self._catalog
            if (key := self._integer_key(target)) is not None
            for name in _names(target)
            if base == name or base.endswith(f"_{name}")
        ]
        longest = {(target, key) for length, target, key in fitting if length == max(fitting)[0]}
        return next(iter(longest)) if len(longest) == 1 else None

    def _integer_key(self, table: Table) -> str | None:
        keys = [
            name
            for name in table.primary_key
            if name in self.own_keys(table.full_name) and table.column(name).type in ("integer", "bigint", "smallint")
        ]
        return keys[0] if len(keys) == 1 else None

    def _mention_pattern(self) -> re.Pattern[str] | None:
        """`order #5`, `/orders/5`, `order_id=5`: a table's name and a number."""
        self._mentioned = {word: place for place in self._integer_keys for word in self._names_of(place[0])}
        if not self._mentioned:
            return None
        words = "|".join(sorted(map(re.escape, self._mentioned), key=len, reverse=True))
        return re.compile(rf"(?i)(?<![A-Za-z])({words})((?:_id)?['\"]?(?:[\s#:=/_-]|no\.?|id){{1,4}})(\d+)(?!\w)")

    def _inside(self, text: str) -> tuple[str, tuple[Node, ...]]:
        """The text with marks for the keys of new rows in it, where no other reading is possible."""
        found = sorted(self._mentions(text))
        parts, nodes, end = [], [], 0
        for start, stop, node in found:
            if start >= end:
                parts += [text[end:start], f"«{short(node[0])}»"]
                nodes.append(node)
                end = stop
        return "".join((*parts, text[end:])), tuple(nodes)

    def _mentions(self, text: str) -> Iterator[tuple[int, int, Node]]:
        if self._by_text:
            for match in _WORD.finditer(text):
                nodes = self._by_text.get(match[0], set()) if len(match[0]) >= 6 else set()
                if len(nodes) == 1:
                    yield match.start(), match.end(), next(iter(nodes))
        if self._mention is not None:
            for match in self._mention.finditer(text):
                named = self._by_column[self._mentioned[match[1].lower()]].get(int(match[3]), [])
                if len(named) == 1:
                    yield match.start(3), match.end(3), named[0]


def _words(text: str) -> str:
    """`OrderItem.created` → `_order_item_created_`, so that a name can be looked for between underscores."""
    return re.sub(r"[^a-z0-9]+", "_", f"_{_CAMEL.sub('_', text).lower()}_")


def _names(table: Table) -> set[str]:
    """The table's name, and what one row of it is called."""
    name = table.name.lower()
    names = {name}
    if name.endswith("ies"):
        names.add(f"{name[:-3]}y")
    if name.endswith(("ses", "xes", "zes", "ches", "shes")):
        names.add(name[:-2])
    if name.endswith("s") and not name.endswith("ss"):
        names.add(name[:-1])
    if name == "people":
        names.add("person")
    return names


def _number(value: Value) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
