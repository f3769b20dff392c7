"""How two fingerprints differ, in lines a person can read: the second told as seen from the first."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from holdtrue.stage.database.entry import DELETED, INSERTED, OWN_KEY, UPDATED, Entry
from holdtrue.stage.database.rows import short, text

Side = Sequence[Entry]
_MISSING = "nothing"
_PAIRS_LIMIT = 40_000


def compare(a: Side, b: Side) -> tuple[str, ...]:
    """What run `b` did differently from run `a`; empty when their effect is the same."""
    lines = [*_old_rows(a, b)]
    for table in _tables(a, b, INSERTED):
        lines += _new_rows(table, _new(a, table), _new(b, table))
    if not lines:
        lines = [f"{short(table)}: the new rows are referred to by others than before" for table in _recoloured(a, b)]
    return tuple(lines)


def compare_sums(a: Side, b: Side) -> tuple[str, ...]:
    """What differs when events came in another order: of new rows, only the sums per parent count, not their number.

    Cumulative refunds of 20 and 520 leave two rows (20, 500) or, the other way round, one (520): both are right. A
    table without any quantity must have rows for the same parents. Rows that were there before are compared as ever.
    """
    lines = [*_old_rows(a, b)]
    for table in _tables(a, b, INSERTED):
        mine, other = _sums(_new(a, table)), _sums(_new(b, table))
        for place, parent in sorted({*mine, *other}):
            one, two = mine.get((place, parent)), other.get((place, parent))
            if one != two:
                whose = f" of {place} {_shown(parent)}" if place else ""
                lines.append(f"{short(table)}{whose}: {_total(one)} ≠ {_total(two)}")
    return tuple(lines)


def _old_rows(a: Side, b: Side) -> Iterator[str]:
    gone_a, gone_b = (Counter((e.table, e.key) for e in side if e.what == DELETED) for side in (a, b))
    gone = {*gone_a, *gone_b}
    for row in sorted((gone_a - gone_b) + (gone_b - gone_a)):
        first, second = ("deleted", "kept") if gone_a[row] > gone_b[row] else ("kept", "deleted")
        yield f"{short(row[0])} #{row[1]}: {first} ≠ {second}"
    mine, other = _updated(a), _updated(b)
    for table, key in sorted({*mine, *other} - gone):
        one, two = mine.get((table, key)), other.get((table, key))
        yield from _cells(f"{short(table)} #{key}", one, two)


def _cells(whose: str, one: Entry | None, two: Entry | None) -> Iterator[str]:
    """The places where one old row differs; where a run did not touch it, it still has its old value."""
    old = {**(one.old if one else {}), **(two.old if two else {})}
    for place in old:
        first = one.cells[place] if one and place in one.cells else old[place]
        second = two.cells[place] if two and place in two.cells else old[place]
        if first != second:
            yield f"{whose} {place}: {_value(first)} ≠ {_value(second)}"
        elif one and two:
            yield from _pointing(whose, one, two, place)


def _new_rows(table: str, mine: list[Entry], other: list[Entry]) -> Iterator[str]:
    mine, other = _unmatched(mine, other, "colour")
    # The same row with the same references, known by others than before: whoever points elsewhere has a line already.
    mine, other = _unmatched(mine, other, "stem")
    pairs, mine, other = _alike(mine, other)
    for one, two in pairs:
        label = (
            f"{short(table)} {_row(one, {place for place in one.cells if one.cells[place] == two.cells.get(place)})}"
        )
        for place in sorted({*one.cells, *two.cells}):
            if one.cells.get(place) != two.cells.get(place):
                yield f"{label} {place}: {_value(one.cells.get(place))} ≠ {_value(two.cells.get(place))}"
            else:
                yield from _pointing(label, one, two, place)
    yield from _counted(table, mine, "less")
    yield from _counted(table, other, "more")


def _pointing(whose: str, one: Entry, two: Entry, place: str) -> Iterator[str]:
    first = [target for at, target in one.refers if at == place]
    second = [target for at, target in two.refers if at == place]
    if first != second:
        yield f"{whose} {place}: refers to {_targets(first)} ≠ {_targets(second)}"


def _unmatched(mine: list[Entry], other: list[Entry], by: str) -> tuple[list[Entry], list[Entry]]:
    """What is left when equal ones are taken away in pairs."""
    common = Counter(getattr(entry, by) for entry in mine) & Counter(getattr(entry, by) for entry in other)
    left: list[list[Entry]] = []
    for side in (mine, other):
        taken: Counter[str] = Counter()
        rest = []
        for entry in side:
            name = getattr(entry, by)
            if taken[name] < common[name]:
                taken[name] += 1
            else:
                rest.append(entry)
        left.append(rest)
    return left[0], left[1]


def _alike(mine: list[Entry], other: list[Entry]) -> tuple[list[tuple[Entry, Entry]], list[Entry], list[Entry]]:
    """Rows that are most probably the same with a fault, most alike first; only where more than half of it agrees."""
    if len(mine) * len(other) > _PAIRS_LIMIT:
        return [], mine, other
    scored = sorted(
        ((_likeness(one, two), i, j) for i, one in enumerate(mine) for j, two in enumerate(other)),
        key=lambda each: (-each[0], each[1], each[2]),
    )
    pairs, used, taken = [], set(), set()
    for likeness, i, j in scored:
        if likeness > 0.5 and i not in used and j not in taken:
            used.add(i)
            taken.add(j)
            pairs.append((mine[i], other[j]))
    return (
        pairs,
        [one for i, one in enumerate(mine) if i not in used],
        [two for j, two in enumerate(other) if j not in taken],
    )


def _likeness(one: Entry, two: Entry) -> float:
    """Share of the telling places on which two rows agree; a null in both, or the row's own key, tells nothing."""
    places = [
        place
        for place in {*one.cells, *two.cells}
        if one.cells.get(place) != two.cells.get(place) or one.cells.get(place) not in (None, OWN_KEY)
    ]
    equal = sum(one.cells.get(place) == two.cells.get(place) for place in places)
    return equal / len(places) if places else 1.0


def _counted(table: str, rows: list[Entry], word: str) -> Iterator[str]:
    for row, count in Counter(_row(entry) for entry in rows).items():
        yield f"{short(table)}: {'one row' if count == 1 else f'{count} rows'} {word}: {row}"


def _sums(rows: list[Entry]) -> dict[tuple[str, str], dict[str, Decimal]]:
    sums: dict[tuple[str, str], dict[str, Decimal]] = {}
    for row in rows:
        for parent in row.parents or (("", ""),):
            totals = sums.setdefault(parent, defaultdict(Decimal))
            for column, amount in row.amounts:
                totals[column] += amount
    return sums


def _recoloured(a: Side, b: Side) -> list[str]:
    return [table for table in _tables(a, b, INSERTED) if any(_unmatched(_new(a, table), _new(b, table), "colour"))]


def _tables(a: Side, b: Side, what: str) -> list[str]:
    return sorted({entry.table for side in (a, b) for entry in side if entry.what == what})


def _new(side: Side, table: str) -> list[Entry]:
    return [entry for entry in side if entry.what == INSERTED and entry.table == table]


def _updated(side: Side) -> dict[tuple[str, str], Entry]:
    return {(entry.table, entry.key): entry for entry in side if entry.what == UPDATED}


def _row(entry: Entry, only: set[str] | None = None) -> str:
    shown = (
        f"{place}: {text(value)}"
        for place, value in entry.cells.items()
        if value not in (None, OWN_KEY) and (only is None or place in only)
    )
    return "{" + ", ".join(shown) + "}"


def _value(value: str | None) -> str:
    return "null" if value is None else text(value)


def _targets(targets: Iterable[str]) -> str:
    return ", ".join(target.split("\0")[0] for target in targets) or _MISSING


def _total(totals: dict[str, Decimal] | None) -> str:
    if totals is None:
        return _MISSING
    return ", ".join(f"{column} {amount}" for column, amount in sorted(totals.items())) or "some"


def _shown(parent: str) -> str:
    """A parent without its stem, which is for the machine."""
    return parent.rsplit("} ", 1)[0] + "}" if parent.startswith("new ") else parent
