"""What a twin run teaches: the same scenario played twice from one snapshot, and what came out different."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdtrue.stage.database.catalog import Catalog, Table
from holdtrue.stage.database.cells import Cell, cells
from holdtrue.stage.database.drawing import Reader
from holdtrue.stage.database.fingerprint import Fingerprint
from holdtrue.stage.database.looks import RANDOM, moment, names_moment, names_retry, names_secret, scrub
from holdtrue.stage.database.noise import Bookkeeping, How, Noise, NoisyColumn
from holdtrue.stage.database.references import References
from holdtrue.stage.database.rows import Difference, Row, Value

_ROUNDS = 6

_Place = tuple[str, str, tuple[str, ...]]
"""Table, column, and path in it."""
_Readings = Mapping[tuple[object, ...], list[tuple[Cell, str | None, bool]]]
"""Place in a group of comparable rows → each cell there, as it reads, and whether it refers to a new row."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The noise of a scenario, and what is none: with such lines it has no one outcome to hold others to."""

    noise: Noise
    unstable: tuple[str, ...]


def learn(
    catalog: Catalog,
    first: Difference,
    twin: Difference,
    *,
    noise: Noise | None = None,
    bookkeeping: Bookkeeping | None = None,
) -> Learned:
    """Learn which columns are volatile from two runs of the same scenario, on top of what is known.

    Only moments and random values are learned. A quantity, a boolean or a reference that differs between equal runs is
    a fault or an unstable scenario, and comes back as such.
    """
    known = noise or Noise()
    # A new key can make references readable, which shows the next difference; each round learns at least one column.
    for _ in range(_ROUNDS):
        more = _differing(catalog, first, twin, known)
        if not more:
            break
        known = known.with_columns(more)
    one, two = (Fingerprint.of(catalog, each, noise=known, bookkeeping=bookkeeping) for each in (first, twin))
    return Learned(noise=known, unstable=one.compare(two))


def retries(catalog: Catalog, *differences: Difference) -> tuple[NoisyColumn, ...]:
    """Columns that tell of a second try, by their name: one that succeeded is as good as a first.

    Undisturbed runs never try twice, so that no twin can teach this.
    """
    places = {
        (name, *cell.general)
        for difference in differences
        for name, changes in difference.tables.items()
        for row in (*changes.inserted, *(each.new for each in changes.updated))
        for cell in cells(catalog.get(name), row)
        if names_retry(cell.name)
    }
    return tuple(
        NoisyColumn(table=table, column=column, path=path, how="retry", why="tells how often something was tried")
        for table, column, path in sorted(places)
    )


def _differing(catalog: Catalog, first: Difference, twin: Difference, noise: Noise) -> tuple[NoisyColumn, ...]:
    one, two = _read(catalog, first, noise), _read(catalog, twin, noise)
    found: dict[_Place, NoisyColumn] = {}
    for group in one.keys() & two.keys():
        if len(one[group]) != len(two[group]):
            continue
        mine, other = _left_over(one[group], two[group])
        if not mine or any(refers for _, _, refers in (*mine, *other)):
            continue
        table = str(group[0])
        new = group[1] == "new"
        verdict = _judge(catalog.get(table), [cell for cell, *_ in mine], [cell for cell, *_ in other], new=new)
        if verdict is not None:
            column, path = mine[0][0].general
            how, why = verdict
            found[table, column, path] = NoisyColumn(table=table, column=column, path=path, how=how, why=why)
    return tuple(each for place, each in sorted(found.items()) if not _is_known(noise, place, each))


def _is_known(noise: Noise, place: _Place, column: NoisyColumn) -> bool:
    return any((each.table, each.column, each.path) == place and each.how == column.how for each in noise.columns)


def _read(catalog: Catalog, difference: Difference, noise: Noise) -> _Readings:
    """Cells by place: of all new rows of a table together, of an old row on its own."""
    references = References(catalog, difference, noise)
    reader = Reader(references, noise, None)
    found: dict[tuple[object, ...], list[tuple[Cell, str | None, bool]]] = defaultdict(list)
    for name, changes in difference.tables.items():
        table = catalog.get(name)
        rows: list[tuple[object, int | None, Row, Row]] = [
            *(("new", number, row, row) for number, row in enumerate(changes.inserted)),
            *((each.key, None, each.new, {c: each.new[c] for c in each.changed}) for each in changes.updated),
        ]
        for group, number, row, shown in rows:
            for cell in cells(table, shown):
                value, nodes = reader.read(name, row, cell, node=None if number is None else (name, number))
                refers = bool(nodes) or (not cell.path and references.refers(name, cell.column))
                found[name, group, *cell.general].append((cell, value, refers))
    return found


def _left_over(
    mine: list[tuple[Cell, str | None, bool]], other: list[tuple[Cell, str | None, bool]]
) -> tuple[list[tuple[Cell, str | None, bool]], list[tuple[Cell, str | None, bool]]]:
    """The readings that one side has and the other has not."""
    common = Counter(value for _, value, _ in mine) & Counter(value for _, value, _ in other)
    sides = []
    for side in (mine, other):
        taken: Counter[str | None] = Counter()
        rest = []
        for reading in side:
            taken[reading[1]] += 1
            if taken[reading[1]] > common[reading[1]]:
                rest.append(reading)
        sides.append(rest)
    return sides[0], sides[1]


def _judge(table: Table | None, mine: list[Cell], other: list[Cell], *, new: bool) -> tuple[How, str] | None:
    """How a column that differs between equal runs is volatile, and why we think so; none when it must not differ.

    Only a new row can be called by its key instead; an old row has its name.
    """
    both = (*mine, *other)
    if any(cell.value is None for cell in both):
        return None
    first = mine[0]
    if new and _is_key(table, first) and (first.kind in ("integer", "uuid") or _scrubbed(mine) == _scrubbed(other)):
        return "key", f"a key that the app makes up ({_example(mine, other)})"
    if first.kind == "time" or all(_is_moment(cell) for cell in both):
        return "time", f"a moment ({_example(mine, other)})"
    if first.kind == "uuid" or (first.kind == "bytes" and len({len(str(cell.value)) for cell in both}) == 1):
        return "random", f"a random value ({_example(mine, other)})"
    if first.kind == "text":
        if _scrubbed(mine) == _scrubbed(other):
            whole = all(scrub(str(cell.value)) == RANDOM for cell in both)
            return ("random" if whole else "parts"), f"a time or token in it ({_example(mine, other)})"
        values = [str(cell.value) for cell in both]
        if names_secret(first.name) and len(set(map(len, values))) == 1 and all(value.isalnum() for value in values):
            return "random", f"a code, by its name ({_example(mine, other)})"
    return None


def _is_key(table: Table | None, cell: Cell) -> bool:
    """Whether a column identifies new rows; an integer only as (part of) the primary key, else it may be a quantity."""
    if table is None or cell.path or any(cell.column in key.columns for key in table.foreign_keys):
        return False
    return cell.column in table.primary_key or (cell.kind != "integer" and (cell.column,) in table.unique)


def _is_moment(cell: Cell) -> bool:
    if cell.kind == "text":
        return moment(cell.value) is not None
    return cell.kind == "integer" and names_moment(cell.name) and moment(cell.value) is not None


def _scrubbed(found: Iterable[Cell]) -> Counter[str]:
    return Counter(scrub(str(cell.value)) for cell in found)


def _example(mine: list[Cell], other: list[Cell]) -> str:
    return f"{_cut(mine[0].value)} and {_cut(other[0].value)}"


def _cut(value: Value) -> str:
    words = str(value)
    return words if len(words) <= 40 else f"{words[:39]}…"
