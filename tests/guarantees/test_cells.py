"""What of an app's rows stands for something: which cells news changes, and by how much amounts move."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holdtrue.guarantees.payments.cells import NEW, Cell, Cells, sums
from holdtrue.stage.database import Catalog, Column, ForeignKey, Snapshot, Table, difference
from holdtrue.stage.database.rows import Row

PLANS, REFUNDS = "public.plans", "public.refunds"
CATALOG = Catalog(
    tables={
        PLANS: Table(
            name="plans",
            columns=(
                Column(name="id", type="bigint", category="N"),
                Column(name="status", type="text", category="S"),
                Column(name="version", type="integer", category="N"),
                Column(name="seen_at", type="timestamp with time zone", category="D"),
                Column(name="last_event", type="text", category="S"),
                Column(name="paid", type="numeric", category="N"),
            ),
            primary_key=("id",),
        ),
        REFUNDS: Table(
            name="refunds",
            columns=(
                Column(name="id", type="bigint", category="N"),
                Column(name="plan_id", type="bigint", category="N"),
                Column(name="amount", type="bigint", category="N"),
                Column(name="attempts", type="integer", category="N"),
                Column(name="status", type="text", category="S"),
            ),
            primary_key=("id",),
            foreign_keys=(ForeignKey(columns=("plan_id",), target=PLANS, target_columns=("id",)),),
        ),
    }
)


def plan(**changed: object) -> Row:
    known = {"id": 7, "status": "open", "version": 1, "seen_at": "2020-01-01 00:00:00+00", "last_event": None}
    return {**known, "paid": "0.00", **changed}  # type: ignore[dict-item]


def refund(key: int, amount: int, **changed: object) -> Row:
    return {"id": key, "plan_id": 7, "amount": amount, "attempts": 1, "status": "pending", **changed}  # type: ignore[dict-item]


def rows(plans: tuple[Row, ...] = (plan(),), refunds: tuple[Row, ...] = ()) -> Snapshot:
    return Snapshot(rows={PLANS: plans, REFUNDS: refunds})


def cells(now: Snapshot) -> Cells:
    return Cells.of(rows(), now, CATALOG)


def test_a_state_that_news_changes_is_told_by_its_cell() -> None:
    before, after = cells(rows((plan(status="active"),))), cells(rows((plan(status="ended"),)))
    assert before.moved(after) == {Cell(table=PLANS, row="7", column="status")}
    (cell,) = before.moved(after)
    assert (str(cell), before.told(cell), after.told(cell)) == ("plans.status", "'active'", "'ended'")


def test_a_cell_that_is_as_it_was_at_the_start_differs_from_one_that_is_not() -> None:
    cell = Cell(table=PLANS, row="7", column="status")
    assert cells(rows()).moved(cells(rows((plan(status="ended"),)))) == {cell}
    assert cells(rows((plan(status="ended"),))).moved(cells(rows())) == {cell}


def test_when_by_what_and_how_often_it_was_changed_tells_nothing() -> None:
    now = (datetime.now(UTC) - timedelta(seconds=3)).isoformat(" ")
    after = cells(rows((plan(version=2, seen_at=now, last_event="after evt_2"),)))
    assert cells(rows()).moved(after, {"evt_2", 1_790_000_000}) == frozenset()
    told = {cell.column for cell in cells(rows()).moved(after)}
    assert told == {"last_event"}, "without the event's id nobody knows that it is one"


def test_a_moment_far_away_is_a_state() -> None:
    after = cells(rows((plan(seen_at=(datetime.now(UTC) + timedelta(days=30)).isoformat(" ")),)))
    assert {cell.column for cell in cells(rows()).moved(after)} == {"seen_at"}


def test_a_new_row_is_known_without_its_key_and_a_table_that_grows_is_a_history() -> None:
    pending, done = cells(rows(refunds=(refund(1, 5),))), cells(rows(refunds=(refund(9, 5, status="done"),)))
    assert {cell.column for cell in pending.moved(done)} >= {"status"}
    assert all(cell.row == NEW for cell in pending.moved(done))
    assert pending.moved(cells(rows(refunds=(refund(1, 5), refund(2, 6))))) == frozenset()


def test_a_row_that_is_gone_is_a_cell() -> None:
    gone = cells(rows(()))
    (cell,) = gone.values
    assert str(cell) == "plans of 7"
    assert cells(rows()).moved(gone) == {cell}


def test_sums_count_amounts_and_neither_keys_nor_attempts() -> None:
    changed = difference(
        rows(refunds=(refund(1, 5),)),
        rows((plan(paid="2.50"),), (refund(1, 7, attempts=3), refund(2, 20))),
        CATALOG,
    )
    assert sums(changed, CATALOG) == {
        (PLANS, "paid"): Decimal("2.50"),
        (REFUNDS, "amount"): Decimal(22),
    }
    assert sums(changed, CATALOG, without={PLANS}) == {(REFUNDS, "amount"): Decimal(22)}
