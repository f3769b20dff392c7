"""From a difference to canonical rows: keys renamed, references followed, noise masked, colours refined."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from holdtrue.stage.database.catalog import Catalog
from holdtrue.stage.database.cells import Cell, cells
from holdtrue.stage.database.entry import DELETED, INSERTED, OWN_KEY, UPDATED, Entry
from holdtrue.stage.database.looks import RANDOM, from_now, names_moment, scrub
from holdtrue.stage.database.noise import Bookkeeping, Noise
from holdtrue.stage.database.references import Node, References
from holdtrue.stage.database.rows import Difference, Row, Update, key_text, short


@dataclass(kw_only=True)
class _Draft:
    """A row on its way to an entry."""

    table: str
    what: str
    key: str
    node: Node | None
    hidden: bool
    cells: dict[str, str | None]
    old: dict[str, str | None]
    refs: list[tuple[str, int, Node]]
    amounts: list[tuple[str, Decimal]]
    parents: list[tuple[str, str | Node]]


class Drawing:
    """One difference on its way to a fingerprint."""

    def __init__(
        self, catalog: Catalog, difference: Difference, noise: Noise, bookkeeping: Bookkeeping, now: datetime | None
    ) -> None:
        self._catalog = catalog
        self._difference = difference
        self._references = References(catalog, difference, noise)
        self._reader = Reader(self._references, noise, now)
        self._bookkeeping = bookkeeping

    def entries(self) -> list[Entry]:
        """The changed rows, without book-keeping, in no particular order."""
        drafts = [draft for name in self._difference.tables for draft in self._drafts(name)]
        visible = {draft.node for draft in drafts if draft.node is not None and not draft.hidden}
        index = {draft.node: number for number, draft in enumerate(drafts) if draft.node is not None}
        stems, colours = _refine(drafts, index, inward=False), _refine(drafts, index, inward=True)
        words = {node: _words(drafts[number]) for node, number in index.items()}

        def parent(each: str | Node) -> str:
            return each if isinstance(each, str) else f"new {words[each]} {stems[index[each]]}"

        return [
            Entry(
                table=draft.table,
                what=draft.what,
                key=draft.key,
                cells=draft.cells,
                old=draft.old,
                refers=tuple((place, f"{words[node]}\0{stems[index[node]]}") for place, _, node in draft.refs),
                amounts=tuple(draft.amounts),
                parents=tuple(
                    (place, parent(each)) for place, each in draft.parents if isinstance(each, str) or each in visible
                ),
                stem=stems[number],
                colour=colours[number],
            )
            for number, draft in enumerate(drafts)
            if not draft.hidden
        ]

    def _drafts(self, name: str) -> list[_Draft]:
        changes = self._difference.tables[name]
        made = [self._inserted(name, number, row) for number, row in enumerate(changes.inserted)]
        changed = [draft for each in changes.updated if (draft := self._updated(name, each)).cells or draft.old]
        gone = [self._deleted(name, row) for row in changes.deleted]
        return [*made, *changed, *gone]

    def _inserted(self, name: str, number: int, row: Row) -> _Draft:
        node = (name, number)
        hidden = self._bookkeeping.has_inserted(name, row)
        draft = _Draft(
            table=name,
            what=INSERTED,
            key="",
            node=node,
            hidden=hidden,
            cells={},
            old={},
            refs=[],
            amounts=[],
            parents=[],
        )
        for cell in cells(self._catalog.get(name), row):
            value, nodes = self._reader.read(name, row, cell, node=node)
            draft.cells[cell.place] = value
            draft.refs += [(cell.place, order, each) for order, each in enumerate(nodes)]
            if cell.path or cell.value is None:
                continue
            if self._references.refers(name, cell.column):
                draft.parents.append((cell.column, nodes[0] if nodes else _plain_parent(cell)))
            elif value != OWN_KEY and not nodes and not self._is_key(name, cell.column):
                draft.amounts += [(cell.column, amount) for amount in _amount(cell)]
        return draft

    def _updated(self, name: str, update: Update) -> _Draft:
        table = self._catalog.get(name)
        draft = _Draft(
            table=name,
            what=UPDATED,
            key=key_text(update.key),
            node=None,
            hidden=self._bookkeeping.has_updated(name, update),
            cells={},
            old={},
            refs=[],
            amounts=[],
            parents=[],
        )
        before = {cell.place: cell for cell in cells(table, _only(update.old, update.changed))}
        after = {cell.place: cell for cell in cells(table, _only(update.new, update.changed))}
        for place in sorted({*before, *after}):
            old, _ = self._reader.read(name, update.old, before[place]) if place in before else (None, ())
            new, nodes = self._reader.read(name, update.new, after[place]) if place in after else (None, ())
            if old != new or nodes:
                draft.cells[place], draft.old[place] = new, old
                draft.refs += [(place, order, each) for order, each in enumerate(nodes)]
        return draft

    def _deleted(self, name: str, row: Row) -> _Draft:
        table = self._catalog.get(name)
        key = table.primary_key if table and table.primary_key else tuple(row)
        return _Draft(
            table=name,
            what=DELETED,
            key=key_text(tuple(row[column] for column in key)),
            node=None,
            hidden=name in self._bookkeeping.deleted,
            cells={},
            old={},
            refs=[],
            amounts=[],
            parents=[],
        )

    def _is_key(self, name: str, column: str) -> bool:
        table = self._catalog.get(name)
        return table is not None and column in table.primary_key


class Reader:
    """Reads a cell in canonical form: references first, then what is learned to be noise, else as it is."""

    def __init__(self, references: References, noise: Noise, now: datetime | None) -> None:
        self._references = references
        self._noise = noise
        self._now = now

    def read(
        self, table: str, row: Row, cell: Cell, *, node: Node | None = None
    ) -> tuple[str | None, tuple[Node, ...]]:
        """The value, with marks for what is renamed or volatile, and the new rows it refers to."""
        noisy = self._noise.at(table, cell)
        if cell.value is None or (noisy is not None and noisy.how == "retry"):
            return None, ()
        if node is not None and not cell.path and cell.column in self._references.own_keys(table):
            return OWN_KEY, ()
        value, nodes = self._references.resolve(table, row, cell)
        if value is not None and node is not None and cell.kind == "text" and not nodes:
            value = self._references.padded_key(node, value)
        if noisy is None or value is None:
            return value, nodes
        if noisy.how == "time":
            return from_now(cell.value, self._now), ()
        if noisy.how == "random":
            return (value, nodes) if nodes else (RANDOM, ())
        return (scrub(value), nodes) if noisy.how == "parts" else (value, nodes)


def _refine(drafts: list[_Draft], index: Mapping[Node, int], *, inward: bool) -> list[str]:
    """Colours that tell rows apart by what they hold and whom they know, and nothing else."""
    colours = [
        digest_of(("hidden", draft.table))
        if draft.hidden
        else digest_of((draft.table, draft.what, draft.key, sorted(draft.cells.items()), sorted(draft.old.items())))
        for draft in drafts
    ]
    known = len(set(colours))
    for _ in drafts:
        told: list[list[tuple[str, str, str, int]]] = [[] for _ in drafts]
        for number, draft in enumerate(drafts):
            if draft.hidden:
                continue
            for place, order, node in draft.refs:
                target = index[node]
                told[number].append(("to", place, colours[target], order))
                if inward and not drafts[target].hidden:
                    told[target].append(("from", f"{draft.table}.{place}", colours[number], order))
        colours = [digest_of((colour, sorted(heard))) for colour, heard in zip(colours, told, strict=True)]
        if len(set(colours)) == known:
            break
        known = len(set(colours))
    return colours


def _words(draft: _Draft) -> str:
    shown = ", ".join(f"{place}: {value}" for place, value in draft.cells.items() if value not in (None, OWN_KEY))
    return f"{short(draft.table)} {{{shown}}}"


def _only(row: Row, columns: tuple[str, ...]) -> Row:
    return {column: row[column] for column in columns if column in row}


def _plain_parent(cell: Cell) -> str:
    return f"#{cell.value}"


def _amount(cell: Cell) -> list[Decimal]:
    """The number in a cell, if it is a quantity: no moment, no key of something."""
    if cell.kind not in ("integer", "number") or names_moment(cell.name) or cell.name.endswith("_id"):
        return []
    try:
        amount = Decimal(str(cell.value))
    except InvalidOperation:
        return []
    return [amount] if amount.is_finite() else []


def digest_of(value: object) -> str:
    """A short hash of plain values."""
    return hashlib.blake2b(repr(value).encode(), digest_size=12).hexdigest()
