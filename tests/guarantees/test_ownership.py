"""Whose row was harmed: told by the tenant column, and by the rows a row refers to."""

from holdtrue.guarantees.tenancy.ownership import Ownership
from holdtrue.stage.database import Catalog, Changes, Column, Difference, ForeignKey, Snapshot, Table, Update

ORDERS = Table(
    name="orders",
    columns=(Column(name="id", type="integer"), Column(name="shop_id", type="integer")),
    primary_key=("id",),
)
ITEMS = Table(
    name="items",
    columns=tuple(Column(name=name, type="integer") for name in ("id", "shop_id", "order_id")),
    primary_key=("id",),
    foreign_keys=(ForeignKey(columns=("order_id",), target="public.orders", target_columns=("id",)),),
)
OWNERSHIP = Ownership(
    catalog=Catalog(tables={"public.orders": ORDERS, "public.items": ITEMS}),
    scene=Snapshot(rows={"public.orders": ({"id": 1, "shop_id": 10}, {"id": 2, "shop_id": 20})}),
    columns={"public.orders": "shop_id", "public.items": "shop_id"},
    tenants={"10": "a", "20": "b"},
    audit=frozenset({"public.audit"}),
)


def harmed(table: str, changes: Changes) -> list[str]:
    return OWNERSHIP.harmed(Difference(tables={table: changes}), "a", by="b")


def test_a_changed_deleted_or_planted_row_of_the_victim_is_harm() -> None:
    old, new = {"id": 1, "shop_id": 10, "status": "new"}, {"id": 1, "shop_id": 10, "status": "paid"}
    assert harmed("public.orders", Changes(updated=(Update(key=(1,), old=old, new=new, changed=("status",)),)))
    assert harmed("public.orders", Changes(deleted=(old,)))
    assert harmed("public.orders", Changes(inserted=({"id": 3, "shop_id": 10},)))


def test_a_row_that_moves_to_another_tenant_is_harm() -> None:
    old, new = {"id": 1, "shop_id": 10}, {"id": 1, "shop_id": 20}
    assert harmed("public.orders", Changes(updated=(Update(key=(1,), old=old, new=new, changed=("shop_id",)),)))


def test_the_senders_own_row_that_refers_to_the_victims_is_harm() -> None:
    linked = harmed("public.items", Changes(inserted=({"id": 5, "shop_id": 20, "order_id": 1},)))
    assert linked == ["a row of tenant b in items now refers to tenant a's orders"]


def test_the_senders_own_rows_are_no_harm() -> None:
    assert not harmed("public.items", Changes(inserted=({"id": 5, "shop_id": 20, "order_id": 2},)))
    assert not harmed("public.orders", Changes(deleted=({"id": 2, "shop_id": 20},)))


def test_a_note_of_the_attempt_in_the_victims_audit_trail_is_no_harm() -> None:
    assert not harmed("public.audit", Changes(inserted=({"id": 9, "shop_id": 10},)))
