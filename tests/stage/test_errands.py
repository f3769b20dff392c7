"""What a statement reaches by name, and which writes may give a polling worker something to do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdtrue.stage.database import Cluster, Databases, Reach, reach_of
from holdtrue.stage.errands import Errands
from holdtrue.stage.wire import Statement
from holdtrue.stage.wire.normalise import analyse

SCHEMA = r"""
CREATE TABLE shops (id int PRIMARY KEY, plan text);
CREATE TABLE workers (id int PRIMARY KEY);
CREATE TABLE jobs (id int, due timestamptz, worker_id int REFERENCES workers ON DELETE SET NULL);
CREATE TABLE notes (id int REFERENCES shops ON DELETE CASCADE, text text);
CREATE TABLE orders (id int);
CREATE TABLE loud (id int);
CREATE TABLE made (id int);
CREATE TABLE ruled (id int);
CREATE TABLE days (at date) PARTITION BY RANGE (at);
CREATE TABLE day_one PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE "Odd Jobs" (id int);
CREATE VIEW due_jobs AS SELECT * FROM jobs WHERE due < now();
CREATE FUNCTION enqueue() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO jobs VALUES (1); RETURN NEW; END $$;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('jobs', ''); RETURN NEW; END $$;
CREATE FUNCTION build() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'INSERT INTO jo' || 'bs VALUES (1)'; RETURN NEW; END $$;
CREATE FUNCTION give(n int) RETURNS void LANGUAGE sql AS $$ INSERT INTO orders VALUES (n) $$;
CREATE TRIGGER t AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION enqueue();
CREATE TRIGGER t AFTER INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER t AFTER INSERT ON made FOR EACH ROW EXECUTE FUNCTION build();
CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO jobs VALUES (new.id);
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON jobs USING (EXISTS (SELECT FROM shops WHERE plan = 'paid'));
"""
POLL = "select * from jobs where due <= $1 limit ?"


@pytest.fixture(scope="module")
def reached() -> dict[str, Reach]:
    return {}


@pytest.fixture
async def reach(cluster: Cluster, reached: dict[str, Reach]) -> AsyncIterator[Reach]:
    if not reached:
        await cluster.roles("app_owner", "app_runtime")
        async with Databases(cluster) as databases:
            name = await databases.create_empty("reach", "app_owner")
            async with await cluster.connect(name, user="app_owner") as connection:
                await connection.execute(SCHEMA.encode())
            async with await cluster.admin(name) as connection:
                reached["schema"] = await reach_of(connection)
    yield reached["schema"]


def said(shape: str) -> Statement:
    [part] = analyse(shape)
    return Statement(
        **dict.fromkeys(("seq", "unit", "connection", "backend", "transaction"), 1),
        **dict.fromkeys(("process", "role", "sql"), ""),
        **dict.fromkeys(("parameters", "parameter_types", "parameter_formats"), ()),
        **dict.fromkeys(("sqlstate", "message", "tag", "in_request")),
        **{"shape": shape, "kind": part.kind, "writes": part.writes or "give(" in shape, "is_point": part.is_point},
        **{"protocol": "simple"},
        **{"answered": True, "at": 0.0, "took": 0.0},
    )


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ("insert into notes (id, text) values ($1, $2) on conflict do nothing", False),
        ("insert into jobs (id) values ($1)", True),
        ("update public.jobs set due = now()", True),
        ('insert into "Jobs" values (?)', True),
        ("delete from workers where id = $1", True),
        ("delete from notes", False),
        ("update shops set plan = ?", True),
        ("insert into orders values (?)", True),
        ("select give(?)", True),
        ("insert into loud values (?)", True),
        ("insert into made values (?)", True),
        ("insert into ruled values (?)", True),
        ("insert into day_one values (?)", False),
        ("execute anything", True),
        ("do ?", True),
        ("notify jobs", True),
        ("select pg_notify(?, ?)", True),
        ("select * from jobs", False),
        ("commit", False),
    ],
)
async def test_a_statement_gives_a_worker_work_where_it_writes_what_the_worker_polls_or_tells_it(
    reach: Reach, shape: str, given: bool
) -> None:
    assert Errands(reach, [POLL]).are_in(said(shape)) is given


@pytest.mark.parametrize(
    ("poll", "shape", "given"),
    [
        ("select * from due_jobs", "insert into jobs values (?)", True),
        ("select * from due_jobs", "insert into notes values (?)", False),
        ("select * from days", "insert into day_one values (?)", True),
        ("select * from day_one", "insert into days values (?)", True),
        ('select * from "odd jobs"', 'insert into "odd jobs" values (?)', True),
        ("select * from next_job()", "insert into notes values (?)", True),
        ("execute look_for_work", "insert into notes values (?)", True),
    ],
)
async def test_where_a_poll_looks_is_found_behind_views_and_partitions_or_cannot_be_told(
    reach: Reach, poll: str, shape: str, given: bool
) -> None:
    assert Errands(reach, [poll]).are_in(said(shape)) is given


async def test_of_an_app_without_polls_nothing_can_be_told() -> None:
    assert Errands(Reach(), []).are_in(said("insert into notes values (?)")) is True
