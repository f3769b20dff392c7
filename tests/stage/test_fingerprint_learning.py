"""A twin run teaches moments and random values, never quantities, booleans or references."""

import json

import pytest

from holdtrue.stage.database import (
    Catalog,
    Changes,
    Column,
    Difference,
    Fingerprint,
    ForeignKey,
    Noise,
    Table,
    Update,
    learn,
    retries,
)

COLUMNS = {
    "id": ("text", "S"),
    "at": ("timestamp with time zone", "D"),
    "token": ("text", "S"),
    "body": ("text", "S"),
    "trace": ("uuid", "U"),
    "data": ("jsonb", "U"),
    "amount": ("integer", "N"),
    "price": ("numeric(10,2)", "N"),
    "done": ("boolean", "B"),
    "owner_id": ("integer", "N"),
    "created_at": ("bigint", "N"),
}
PAYMENTS = Table(
    name="payments",
    primary_key=("id",),
    columns=tuple(Column(name=name, type=type_, category=category) for name, (type_, category) in COLUMNS.items()),
    foreign_keys=(ForeignKey(columns=("owner_id",), target="public.users", target_columns=("id",)),),
)
RECEIPTS = Table(
    name="receipts",
    primary_key=("id",),
    columns=(
        Column(name="id", type="bigint", category="N", identity=True),
        Column(name="payment", type="text", category="S"),
    ),
)
USERS = Table(
    name="users", primary_key=("id",), columns=(Column(name="id", type="integer", category="N", identity=True),)
)
CATALOG = Catalog(tables={table.full_name: table for table in (PAYMENTS, RECEIPTS, USERS)})


def run(**values: object) -> Difference:
    return Difference(tables={"public.payments": Changes(inserted=({"id": "evt_given", **values},))})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("column", "one", "two", "how"),
    [
        ("at", "2026-01-01 10:00:00.1+00", "2026-01-01 10:00:02.7+00", "time"),
        ("token", "kD83jfLw93kdPq", "pL20dkEw77mzQx", "random"),
        ("body", "Sign in at https://app/x?t=kD83jfLw93kdPq", "Sign in at https://app/x?t=pL20dkEw77mzQx", "parts"),
        ("body", "2026-01-01T10:00:00Z", "2026-01-01T10:00:04Z", "time"),
        ("trace", "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002", "random"),
        ("created_at", 1_770_000_000, 1_770_000_003, "time"),
        ("id", "pay_kD83jfLw93", "pay_pL20dkEw77", "key"),
    ],
)
def test_what_looks_like_time_or_randomness_is_learned(column: str, one: object, two: object, how: str) -> None:
    learned = learn(CATALOG, run(**{column: one}), run(**{column: two}))
    assert [(each.column, each.how) for each in learned.noise.columns] == [(column, how)]
    assert learned.unstable == ()
    assert str(one)[:10] in learned.noise.describe()[0]


@pytest.mark.parametrize(
    ("column", "one", "two"),
    [
        ("amount", 500, 700),
        ("price", "5.00", "7.00"),
        ("done", True, False),
        ("owner_id", 1, 2),
        ("body", "paid", "refunded"),
        ("body", "You paid 500", "You paid 700"),
        ("at", "2026-01-01 10:00:00+00", None),
    ],
)
def test_what_matters_is_never_learned_but_told(column: str, one: object, two: object) -> None:
    learned = learn(CATALOG, run(**{column: one}), run(**{column: two}))
    assert learned.noise.columns == ()
    assert any(column in line for line in learned.unstable)


def test_inside_json_one_path_is_learned_and_its_neighbours_are_not() -> None:
    def data(at: str, amount: int) -> Difference:
        return run(data=json.dumps({"items": [{"at": at, "amount": amount}]}))

    one, two = data("2026-01-01T10:00:00Z", 5), data("2026-01-01T10:00:07Z", 5)
    learned = learn(CATALOG, one, two)
    assert [(each.column, each.path, each.how) for each in learned.noise.columns] == [
        ("data", ("items", "*", "at"), "time")
    ]
    other = Fingerprint.of(CATALOG, data("2026-01-01T10:00:09Z", 6), noise=learned.noise)
    assert Fingerprint.of(CATALOG, one, noise=learned.noise).compare(other)


def test_a_key_made_up_by_the_app_is_renamed_and_followed() -> None:
    def paid(*pairs: tuple[str, str]) -> Difference:
        rows = [{"id": name, "body": body} for name, body in pairs]
        receipts = [{"id": 9, "payment": pairs[0][0]}]
        return Difference(
            tables={
                "public.payments": Changes(inserted=tuple(rows)),
                "public.receipts": Changes(inserted=tuple(receipts)),
            }
        )

    one = paid(("pay_kD83jfLw93", "a"), ("pay_kD83jfLw94", "b"))
    two = paid(("pay_pL20dkEw77", "a"), ("pay_pL20dkEw78", "b"))
    learned = learn(CATALOG, one, two)
    assert learned.unstable == ()
    wrong = paid(("pay_qM11xxEw01", "b"), ("pay_qM11xxEw02", "a"))
    lines = Fingerprint.of(CATALOG, one, noise=learned.noise).compare(
        Fingerprint.of(CATALOG, wrong, noise=learned.noise)
    )
    assert lines == ("receipts {payment: «payments»} payment: refers to payments {body: a} ≠ payments {body: b}",)


def test_a_volatile_column_of_an_old_row_is_learned_from_its_change() -> None:
    def touched(at: str) -> Difference:
        change = Update(key=("p",), old={"id": "p", "at": None}, new={"id": "p", "at": at}, changed=("at",))
        return Difference(tables={"public.payments": Changes(updated=(change,))})

    learned = learn(CATALOG, touched("2026-01-01 10:00:00+00"), touched("2026-01-01 10:00:01+00"))
    assert [each.column for each in learned.noise.columns] == ["at"]
    assert learned.unstable == ()


def test_a_unique_token_given_to_an_old_row_is_learned_as_random() -> None:
    vouchers = Table(
        name="vouchers",
        primary_key=("id",),
        columns=(Column(name="id", type="bigint", category="N"), Column(name="code", type="text", category="S")),
        unique=(("id",), ("code",)),
    )
    catalog = Catalog(tables={vouchers.full_name: vouchers})

    def issued(code: str) -> Difference:
        change = Update(key=(1,), old={"id": 1, "code": None}, new={"id": 1, "code": code}, changed=("code",))
        return Difference(tables={"public.vouchers": Changes(updated=(change,))})

    learned = learn(catalog, issued("kD83jfLw93kdPq"), issued("pL20dkEw77mzQx"))
    assert [(each.column, each.how) for each in learned.noise.columns] == [("code", "random")]
    assert learned.unstable == ()


def test_a_scenario_that_makes_another_number_of_rows_is_unstable() -> None:
    two = Difference(
        tables={"public.receipts": Changes(inserted=({"id": 1, "payment": "x"}, {"id": 2, "payment": "x"}))}
    )
    one = Difference(tables={"public.receipts": Changes(inserted=({"id": 1, "payment": "x"},))})
    assert learn(CATALOG, one, two).unstable == ("receipts: one row more: {payment: x}",)


JOBS = Table(
    name="jobs",
    primary_key=("id",),
    columns=(
        Column(name="id", type="text", category="S"),
        Column(name="attempts", type="integer", category="N"),
        Column(name="last_error", type="text", category="S"),
        Column(name="refund_request_id", type="text", category="S"),
        Column(name="origin", type="jsonb", category="U"),
        Column(name="amount", type="integer", category="N"),
    ),
)


def job(**values: object) -> Difference:
    row = {"id": "j", "attempts": 1, "last_error": None, "refund_request_id": "r", "amount": 5, **values}
    return Difference(tables={"public.jobs": Changes(inserted=(row,))})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("otherwise", "equal"),
    [
        ({"attempts": 2, "last_error": "connection lost"}, True),
        ({"origin": json.dumps({"request_id": "a-2"})}, True),
        ({"amount": 10}, False),
        ({"refund_request_id": "s"}, False),
    ],
)
def test_a_second_try_is_as_good_as_a_first_if_it_does_the_same(otherwise: dict[str, object], equal: bool) -> None:
    catalog = Catalog(tables={JOBS.full_name: JOBS})
    plain, tried_again = job(origin=json.dumps({"request_id": "a-1"})), job(**otherwise)
    if "origin" not in otherwise:
        tried_again = job(**{"origin": json.dumps({"request_id": "a-1"}), **otherwise})
    noise = Noise(columns=retries(catalog, plain))
    one, two = (Fingerprint.of(catalog, each, noise=noise) for each in (plain, tried_again))
    assert (not one.compare(two)) == equal
