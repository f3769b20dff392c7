"""Two runs that did the same have one fingerprint, however rows are numbered and ordered; a real difference shows."""

import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.stage.database import (
    Bookkeeping,
    Catalog,
    Changes,
    Column,
    Difference,
    Fingerprint,
    ForeignKey,
    Noise,
    NoisyColumn,
    Table,
    Update,
)

SERIAL = Column(name="id", type="bigint", category="N", nullable=False, identity=True)


def integer(name: str) -> Column:
    return Column(name=name, type="integer", category="N")


def words(name: str) -> Column:
    return Column(name=name, type="text", category="S")


def moment(name: str) -> Column:
    return Column(name=name, type="timestamp with time zone", category="D")


USERS = Table(
    name="users",
    primary_key=("id",),
    columns=(SERIAL, integer("last_order"), moment("paid_until")),
    foreign_keys=(ForeignKey(columns=("last_order",), target="public.orders", target_columns=("id",)),),
)
ORDERS = Table(
    name="orders",
    primary_key=("id",),
    columns=(SERIAL, integer("owner"), words("status"), integer("amount")),
    foreign_keys=(ForeignKey(columns=("owner",), target="public.users", target_columns=("id",)),),
)
ITEMS = Table(
    name="items", primary_key=("id",), columns=(SERIAL, integer("order_id"), words("sku"), integer("quantity"))
)
AUDIT = Table(
    name="audit",
    primary_key=("id",),
    columns=(
        Column(name="id", type="uuid", nullable=False),
        words("entity_type"),
        words("entity_id"),
        Column(name="payload", type="jsonb"),
        words("message"),
    ),
)
CATALOG = Catalog(tables={table.full_name: table for table in (USERS, ORDERS, ITEMS, AUDIT)})


@dataclass(frozen=True)
class World:
    """What a scenario did, free of ids: orders, items of an order by its place, audited orders, each user's last."""

    orders: tuple[tuple[int, str, int], ...]
    items: tuple[tuple[int, str, int], ...]
    audited: tuple[int, ...]
    last: dict[int, int] = field(default_factory=dict)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    orders = draw(
        st.lists(
            st.tuples(st.sampled_from([1, 2]), st.sampled_from(["paid", "open"]), st.sampled_from([500, 700])),
            min_size=1,
            max_size=4,
        )
    )
    place = st.integers(0, len(orders) - 1)
    items = draw(st.lists(st.tuples(place, st.sampled_from("ab"), st.integers(1, 2)), max_size=5))
    audited = draw(st.lists(place, max_size=3))
    return World(tuple(orders), tuple(items), tuple(audited), {draw(st.sampled_from([1, 2])): draw(place)})


@st.composite
def numberings(draw: st.DrawFn) -> Any:
    """How a run numbers and orders rows: an offset, burnt numbers, and a shuffle."""
    randomness = draw(st.randoms(use_true_random=False))
    start = draw(st.integers(10, 500))

    def number(count: int) -> list[int]:
        gaps = itertools.accumulate((randomness.randint(1, 3) for _ in range(count)), initial=start)
        numbers = list(gaps)[1:]
        randomness.shuffle(numbers)
        return numbers

    return number, randomness


def run(world: World, numbering: Any) -> Difference:
    number, randomness = numbering
    ids = number(len(world.orders))
    orders = [
        {"id": ids[place], "owner": owner, "status": status, "amount": amount}
        for place, (owner, status, amount) in enumerate(world.orders)
    ]
    items = [
        {"id": own, "order_id": ids[place], "sku": sku, "quantity": quantity}
        for own, (place, sku, quantity) in zip(number(len(world.items)), world.items, strict=True)
    ]
    audit = [
        {
            "id": f"{randomness.getrandbits(32):08x}-0000-4000-8000-{randomness.getrandbits(48):012x}",
            "entity_type": "order",
            "entity_id": str(ids[place]),
            "payload": json.dumps({"order": {"id": ids[place], "seen": [{"order_id": ids[place]}]}}),
            "message": f"see /orders/{ids[place]} (500 paid)",
        }
        for place in world.audited
    ]
    for rows in (orders, items, audit):
        randomness.shuffle(rows)
    updates = tuple(
        Update(
            key=(user,),
            old={"id": user, "last_order": None},
            new={"id": user, "last_order": ids[place]},
            changed=("last_order",),
        )
        for user, place in world.last.items()
    )
    tables = {
        "public.orders": Changes(inserted=tuple(orders)),
        "public.items": Changes(inserted=tuple(items)),
        "public.audit": Changes(inserted=tuple(audit)),
        "public.users": Changes(updated=updates),
    }
    return Difference(tables={name: each for name, each in tables.items() if each != Changes()})


def fingerprint(world: World, numbering: Any) -> Fingerprint:
    return Fingerprint.of(CATALOG, run(world, numbering))


@settings(deadline=None, max_examples=40)
@given(worlds(), numberings(), numberings())
def test_order_of_insertion_offsets_and_burnt_numbers_do_not_matter(world: World, one: Any, two: Any) -> None:
    a, b = fingerprint(world, one), fingerprint(world, two)
    assert a.digest == b.digest
    assert a.compare(b) == ()
    assert a.compare_sums(b) == ()


@settings(deadline=None, max_examples=40)
@given(worlds(), numberings(), numberings(), st.data())
def test_a_changed_amount_is_told(world: World, one: Any, two: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(world.orders) - 1))
    orders = list(world.orders)
    orders[place] = (*orders[place][:2], 999)
    changed = replace(world, orders=tuple(orders))
    lines = fingerprint(world, one).compare(fingerprint(changed, two))
    assert any("999" in line and line.startswith("orders") for line in lines)


@settings(deadline=None, max_examples=40)
@given(worlds().filter(lambda world: world.items), numberings(), numberings())
def test_a_missing_row_is_told(world: World, one: Any, two: Any) -> None:
    fewer = replace(world, items=world.items[1:])
    lines = fingerprint(world, one).compare(fingerprint(fewer, two))
    assert any(line.startswith("items: one row less") for line in lines)
    assert fingerprint(fewer, one).compare(fingerprint(world, two))


@settings(deadline=None, max_examples=40)
@given(worlds().filter(lambda world: world.items), numberings(), numberings())
def test_a_reference_to_the_wrong_row_is_told(world: World, one: Any, two: Any) -> None:
    stray = replace(world, orders=(*world.orders, (1, "stray", 1)))
    place = len(world.orders)
    wrong = replace(stray, items=((place, *world.items[0][1:]), *world.items[1:]))
    lines = fingerprint(stray, one).compare(fingerprint(wrong, two))
    assert any(line.startswith("items") and "refers to" in line and "stray" in line for line in lines)


@settings(deadline=None, max_examples=30)
@given(numberings(), numberings())
def test_twins_may_be_swapped_but_what_they_own_may_not_be_shared_out_anew(one: Any, two: Any) -> None:
    twins = ((1, "paid", 500), (1, "paid", 500))
    first = World(twins, ((0, "a", 1), (0, "b", 1)), ())
    swapped = World(twins, ((1, "a", 1), (1, "b", 1)), ())
    shared = World(twins, ((0, "a", 1), (1, "b", 1)), ())
    assert fingerprint(first, one).compare(fingerprint(swapped, two)) == ()
    assert fingerprint(first, one).compare(fingerprint(shared, two))


def test_rows_of_the_scene_keep_their_identity() -> None:
    def created(owner: int) -> Fingerprint:
        row = {"id": 7, "owner": owner, "status": "open", "amount": 1}
        return Fingerprint.of(CATALOG, Difference(tables={"public.orders": Changes(inserted=(row,))}))

    assert created(1).compare(created(2)) == ("orders {status: open, amount: 1} owner: 1 ≠ 2",)


def update_of(until: str | None) -> Difference:
    change = Update(
        key=(12,),
        old={"id": 12, "paid_until": "2026-06-01 00:00:00+00"},
        new={"id": 12, "paid_until": until},
        changed=("paid_until",),
    )
    return Difference(tables={"public.users": Changes(updated=(change,))})


def test_a_change_of_an_old_row_names_the_row_the_column_and_both_values() -> None:
    one, two = (Fingerprint.of(CATALOG, update_of(f"{year}-06-01 00:00:00+00")) for year in (2027, 2028))
    assert one.compare(two) == ("users #12 paid_until: 2027-06-01 00:00:00+00 ≠ 2028-06-01 00:00:00+00",)
    nothing = Fingerprint.of(CATALOG, Difference())
    assert one.compare(nothing) == ("users #12 paid_until: 2027-06-01 00:00:00+00 ≠ 2026-06-01 00:00:00+00",)


NOISY_UNTIL = Noise(columns=(NoisyColumn(table="public.users", column="paid_until", how="time", why="a moment"),))


def test_noise_keeps_null_apart_from_not_null() -> None:
    def at(until: str | None) -> Fingerprint:
        return Fingerprint.of(CATALOG, update_of(until), noise=NOISY_UNTIL)

    assert at("2027-06-01 00:00:00+00").compare(at("2027-06-01 00:00:05+00")) == ()
    assert at("2027-06-01 00:00:00+00").compare(at(None)) == ("users #12 paid_until: «time» ≠ null",)


def test_a_noisy_time_a_year_too_late_shows_when_the_moment_of_the_run_is_known() -> None:
    def at(until: str, now: datetime) -> Fingerprint:
        return Fingerprint.of(CATALOG, update_of(until), noise=NOISY_UNTIL, now=now)

    noon, later = datetime(2026, 6, 1, 12, tzinfo=UTC), datetime(2026, 6, 1, 12, 3, tzinfo=UTC)
    right = at("2027-06-01 12:00:00+00", noon)
    assert right.compare(at("2027-06-01 12:03:01+00", later)) == ()
    assert right.compare(at("2028-05-31 12:03:01+00", later)) == (
        "users #12 paid_until: «now + 365 d» ≠ «now + 730 d»",
    )


def test_an_update_of_noise_alone_is_no_effect() -> None:
    touched = Fingerprint.of(CATALOG, update_of("2026-06-01 00:00:09+00"), noise=NOISY_UNTIL)
    assert touched.compare(Fingerprint.of(CATALOG, Difference())) == ()


def orders(*amounts: int, owner: int = 1) -> Difference:
    rows = ({"id": 50 + n, "owner": owner, "status": f"s{n}", "amount": amount} for n, amount in enumerate(amounts))
    return Difference(tables={"public.orders": Changes(inserted=tuple(rows))})


def test_in_another_order_only_the_sum_per_parent_counts() -> None:
    two_rows, one_row, short_sum, stranger = (
        Fingerprint.of(CATALOG, each) for each in (orders(20, 500), orders(520), orders(20), orders(520, owner=2))
    )
    assert two_rows.compare(one_row)
    assert two_rows.compare_sums(one_row) == ()
    assert two_rows.compare_sums(short_sum) == ("orders of owner #1: amount 520 ≠ amount 20",)
    assert len(two_rows.compare_sums(stranger)) == 2


def test_book_keeping_is_subtracted_by_shape_and_not_by_table() -> None:
    neutral = orders(0)
    row = {"id": 60, "owner": None, "status": "real", "amount": 5}
    real = Difference(tables={"public.orders": Changes(inserted=(*orders(0).tables["public.orders"].inserted, row))})
    bookkeeping = Bookkeeping().learn(neutral)
    left = Fingerprint.of(CATALOG, real, bookkeeping=bookkeeping)
    assert Fingerprint.of(CATALOG, Difference()).compare(left) == ("orders: one row more: {status: real, amount: 5}",)
    assert [dict(each) for each in bookkeeping.subtract(real).tables["public.orders"].inserted] == [row]
    assert bookkeeping.describe() == [
        "orders: a new row with amount, id, owner, status; changed by a request that did nothing"
    ]


def test_a_deleted_row_is_told_and_a_large_table_is_owned_up_to() -> None:
    gone = Difference(
        tables={"public.users": Changes(deleted=({"id": 3, "last_order": None},))}, oversized=("public.log",)
    )
    found = Fingerprint.of(CATALOG, gone)
    assert Fingerprint.of(CATALOG, Difference()).compare(found) == ("users #3: kept ≠ deleted",)
    assert found.uncompared == ("public.log",)


def test_a_number_in_a_text_is_a_reference_only_beside_the_name_of_its_table() -> None:
    def noted(number: int, said: str) -> Fingerprint:
        order = {"id": number, "owner": 1, "status": said, "amount": 1}
        return Fingerprint.of(CATALOG, Difference(tables={"public.orders": Changes(inserted=(order,))}))

    assert noted(5, "Order #5 was paid").compare(noted(8, "Order #8 was paid")) == ()
    assert noted(5, "INV-0005").compare(noted(8, "INV-0008")) == ()
    assert noted(5, "5 tickets").compare(noted(8, "8 tickets"))
    assert noted(5, "Order #5 was paid").compare(noted(8, "Order #5 was paid"))


OUTBOX = Table(
    name="outbox",
    primary_key=("id",),
    columns=(SERIAL, words("event"), integer("aggregate_id"), Column(name="payload", type="jsonb")),
)
WITH_OUTBOX = Catalog(tables={**CATALOG.tables, OUTBOX.full_name: OUTBOX})


def test_a_bare_id_is_a_reference_to_the_table_that_the_row_names() -> None:
    def told(order: int, event: int, said: int) -> Fingerprint:
        rows = {"id": event, "event": "order.created", "aggregate_id": said, "payload": json.dumps({"id": said})}
        made = {"id": order, "owner": 1, "status": "open", "amount": 1}
        tables = {"public.orders": Changes(inserted=(made,)), "public.outbox": Changes(inserted=(rows,))}
        return Fingerprint.of(WITH_OUTBOX, Difference(tables=tables))

    assert told(5, 5, 5).compare(told(9, 5, 9)) == ()
    assert told(5, 5, 5).compare(told(9, 5, 5))


def test_a_composite_reference_leads_to_the_row_of_its_own_tenant() -> None:
    tenants = Table(name="tenants", primary_key=("id",), columns=(SERIAL,))
    tenant = ForeignKey(columns=("tenant_id",), target="public.tenants", target_columns=("id",))
    notes = Table(
        name="notes",
        primary_key=("tenant_id", "id"),
        columns=(integer("tenant_id"), SERIAL, words("text")),
        foreign_keys=(tenant,),
    )
    links = Table(
        name="links",
        columns=(integer("tenant_id"), integer("note_id")),
        foreign_keys=(
            ForeignKey(columns=("tenant_id", "note_id"), target="public.notes", target_columns=("tenant_id", "id")),
        ),
    )
    catalog = Catalog(tables={table.full_name: table for table in (tenants, notes, links)})

    def linked(tenant_id: int, one: int, two: int, to: int) -> Fingerprint:
        made = (
            {"tenant_id": tenant_id, "id": one, "text": "a"},
            {"tenant_id": tenant_id, "id": two, "text": "b"},
            {"tenant_id": 1, "id": one, "text": "of another tenant"},
        )
        tables = {
            "public.tenants": Changes(inserted=({"id": tenant_id},)),
            "public.notes": Changes(inserted=made),
            "public.links": Changes(inserted=({"tenant_id": tenant_id, "note_id": to},)),
        }
        return Fingerprint.of(catalog, Difference(tables=tables))

    assert linked(7, 1, 2, 1).compare(linked(8, 4, 3, 4)) == ()
    assert linked(7, 1, 2, 1).compare(linked(8, 4, 3, 3)) == (
        "links {tenant_id: «tenants», note_id: «notes»} note_id: refers to "
        "notes {tenant_id: «tenants», text: a} ≠ notes {tenant_id: «tenants», text: b}",
    )


def test_thousands_of_new_rows_are_compared() -> None:
    many, more = (Fingerprint.of(CATALOG, orders(*range(count))) for count in (3000, 3001))
    assert many.compare(more) == ("orders: one row more: {owner: 1, status: s3000, amount: 3000}",)
