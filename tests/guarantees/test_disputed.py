"""A won dispute, or an inquiry: what the app took back for good, and what is only a note that there was one."""

from types import SimpleNamespace
from typing import Any, cast

from holdtrue.guarantees.payments.bought import Bought
from holdtrue.guarantees.payments.cells import Cells
from holdtrue.guarantees.payments.disputed import After, Sold
from holdtrue.stage.database import Catalog, Column, Snapshot, Table, difference
from holdtrue.stage.database.rows import Row
from holdtrue.stage.scene import Scene

ORDERS = ("id", "status", "open", "paid_cents", "dispute_state", "note")
TYPES = {"id": "N", "paid_cents": "N", "amount": "N", "open": "B"}


def table(name: str, *columns: str) -> Table:
    return Table(
        name=name,
        columns=tuple(Column(name=each, type="text", category=TYPES.get(each, "S")) for each in columns),
        primary_key=("id",),
    )


CATALOG = Catalog(
    tables={
        "public.orders": table("orders", *ORDERS),
        "public.ledger": table("ledger", "id", "amount", "kind"),
        "public.disputes": table("disputes", "id", "amount", "kind"),
    }
)


def rows(ledger: tuple[Row, ...] = (), disputes: tuple[Row, ...] = (), **changed: Any) -> Snapshot:
    order: Row = {"id": 1, "status": "paid", "open": True, "paid_cents": 3000, "dispute_state": "none", "note": "x y"}
    return Snapshot(
        rows={"public.orders": ({**order, **changed},), "public.ledger": ledger, "public.disputes": disputes}
    )


UNPAID, PAID = rows(status="pending", note="to come"), rows()
STAGE = SimpleNamespace(scene=SimpleNamespace(catalog=CATALOG))
SOLD = Sold(
    bought=cast("Bought", SimpleNamespace(stage=STAGE)),
    scene=cast("Scene", SimpleNamespace(rows=PAID)),
    charge="ch_1",
    amount=3000,
    granted=Cells.of(UNPAID, PAID, CATALOG),
    bookkeeping=frozenset(),
)


def after(now: Snapshot) -> After:
    changed = difference(PAID, now, CATALOG)
    return After(rows=changed, cells=Cells.of(PAID, now, CATALOG), traces=bool(changed))


def taken(now: Snapshot, lost: Snapshot | None = None) -> list[str]:
    return sorted(SOLD.taken(after(now), after(now if lost is None else lost)))


def entry(key: int, amount: int, kind: str = "dispute") -> Row:
    return {"id": key, "amount": amount, "kind": kind}


def test_a_state_access_and_money_that_stay_as_after_a_lost_dispute_are_taken() -> None:
    assert taken(rows(status="disputed")) == ["orders.status is 'disputed' and was 'paid'"]
    assert taken(rows(open=False)) == ["orders.open is false and was true"]
    assert taken(rows(paid_cents=0)) == ["orders.paid_cents is 0 and was 3000"]


def test_what_is_as_if_nothing_had_been_bought_is_taken_whatever_its_name() -> None:
    assert taken(rows(note="to come")) == ["orders.note is 'to come' and was 'x y'"]
    assert taken(rows(note="seen by the shop")) == []


def test_what_a_won_dispute_leaves_otherwise_than_a_lost_one_is_not_taken() -> None:
    assert taken(rows(status="dispute_won"), rows(status="disputed")) == []
    assert taken(rows(), rows(status="disputed")) == []


def test_a_note_that_there_was_a_dispute_takes_nothing() -> None:
    assert taken(rows(dispute_state="closed")) == []
    assert taken(rows(disputes=(entry(1, 3000),))) == []
    assert taken(rows(paid_cents=3001)) == [], "a counter"


def test_books_that_lack_the_money_are_found_and_those_that_net_zero_are_not() -> None:
    withdrawn = rows(ledger=(entry(1, -3000),))
    assert taken(withdrawn) == ["ledger.amount of the new rows is -3000 in sum"]
    assert taken(rows(ledger=(entry(1, -3000), entry(2, 3000, "reinstated"))), withdrawn) == []
    assert taken(rows(ledger=(entry(1, -3000, "won"),)), rows(ledger=(entry(1, -3000, "lost"),))) == []
