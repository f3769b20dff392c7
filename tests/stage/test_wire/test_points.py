"""Cutting, holding and pausing at points, with the state of the database as the judge."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

import psycopg
import pytest

from holdtrue.stage.wire import Held, Listener, NotIdle, Point, Wire, WireError

from .conftest import Bench

UPDATE = "update accounts set balance = ? where id = ?"
COMMIT = "commit"


async def pay(connection: psycopg.AsyncConnection, account: int, balance: int) -> None:
    await connection.execute("SELECT balance FROM accounts WHERE id = %s", (account,))
    await connection.execute("UPDATE accounts SET balance = %s WHERE id = %s", (balance, account))
    await connection.commit()


@pytest.mark.parametrize(
    ("shape", "when", "left"),
    [
        (UPDATE, "before", [100, 100]),
        (UPDATE, "after", [100, 100]),
        (COMMIT, "before", [100, 100]),
        (COMMIT, "after", [1, 100]),
    ],
)
async def test_a_cut_leaves_what_a_crash_there_leaves(
    bench: Bench,
    wire: Wire,
    web1: Listener,
    accounts: str,
    shape: str,
    when: Literal["before", "after"],
    left: list[int],
) -> None:
    connection = await bench.connect(web1)
    with wire.record() as recording, wire.cut(Point("web1", shape), when=when) as arm:
        with pytest.raises(psycopg.OperationalError):
            await pay(connection, 1, 1)
        assert arm.fired.is_set()
        await arm.settled.wait()
    assert await bench.balances(accounts) == left
    reached = [one.shape for one in recording.statements]
    assert (shape in reached) == (when == "after")
    # It springs once; afterwards everything works.
    await pay(await bench.connect(web1), 1, 2)
    assert await bench.balances(accounts) == [2, 100]


async def test_a_cut_waits_for_its_ordinal_and_its_process(
    bench: Bench, wire: Wire, web1: Listener, web2: Listener, accounts: str
) -> None:
    first, second = await bench.connect(web1), await bench.connect(web2)
    arm = wire.cut(Point("web1", COMMIT, 1), when="before")
    await pay(first, 1, 1)
    await pay(second, 1, 2)
    await pay(second, 1, 3)
    assert not arm.fired.is_set()
    with pytest.raises(psycopg.OperationalError):
        await pay(first, 2, 2)
    await arm.settled.wait()
    assert await bench.balances(accounts) == [3, 100]


async def test_a_disarmed_cut_does_nothing(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    arm = wire.cut(Point("web1", COMMIT), when="before")
    arm.disarm()
    await pay(await bench.connect(web1), 1, 1)
    assert not arm.armed
    assert await bench.balances(accounts) == [1, 100]


async def test_a_query_string_is_cut_as_one(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.cut(Point("web1", COMMIT), when="before") as arm, pytest.raises(psycopg.OperationalError):
        await connection.execute("BEGIN; UPDATE accounts SET balance = 0; COMMIT; UPDATE accounts SET balance = 1")
    await arm.settled.wait()
    assert await bench.balances(accounts) == [100, 100]


async def test_a_pipeline_is_cut_as_one(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.cut(Point("web1", UPDATE, 1), when="after") as arm, pytest.raises(psycopg.OperationalError):
        async with connection.pipeline():
            await connection.execute("UPDATE accounts SET balance = %s WHERE id = %s", (1, 1))
            await connection.execute("UPDATE accounts SET balance = %s WHERE id = %s", (2, 2))
    assert arm.fired.is_set()
    await arm.settled.wait()
    assert await bench.balances(accounts) == [1, 2]


async def test_copy_can_be_cut_after_its_data(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with (
        wire.cut(Point("web1", "copy accounts from stdin"), when="after") as arm,
        pytest.raises(psycopg.OperationalError),
    ):
        async with connection.cursor() as cursor, cursor.copy("COPY accounts FROM STDIN") as copy:
            await copy.write_row((3, 3))
    await arm.settled.wait()
    assert await bench.balances(accounts) == [100, 100, 3]


async def test_a_held_request_waits_while_another_runs(
    bench: Bench, wire: Wire, web1: Listener, web2: Listener, accounts: str
) -> None:
    first, second = await bench.connect(web1), await bench.connect(web2)
    with wire.hold(Point("web1", UPDATE)) as hold:
        held = asyncio.create_task(pay(first, 1, 1))
        where = await hold.reached()
        assert hold.is_reached
        assert (where.process, where.shape, where.backend) == ("web1", UPDATE, first.info.backend_pid)
        await pay(second, 1, 2)
        assert await bench.balances(accounts) == [2, 100]
        assert not held.done()
        assert [(one.process, one.held, one.shape) for one in wire.in_flight()] == [("web1", True, UPDATE)]
        assert [one.process for one in wire.open_transactions()] == ["web1"]
    await held
    assert await bench.balances(accounts) == [1, 100]


async def test_another_request_can_be_seen_waiting_for_the_lock_of_the_held_one(
    bench: Bench, wire: Wire, web1: Listener, web2: Listener, accounts: str,
    blocked: Callable[[int], Awaitable[list[int]]],
) -> None:  # fmt: skip
    first, second = await bench.connect(web1), await bench.connect(web2)
    with wire.hold(Point("web1", COMMIT)) as hold:
        held = asyncio.create_task(pay(first, 1, 1))
        where = await hold.reached()
        waiting = asyncio.create_task(pay(second, 1, 2))
        assert await blocked(where.backend) == [second.info.backend_pid]
        assert [(one.process, one.held) for one in wire.in_flight()] == [("web1", True), ("web2", False)]
    await asyncio.gather(held, waiting)
    assert await bench.balances(accounts) == [2, 100]


async def test_a_held_request_can_be_cut(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    connection = await bench.connect(web1)
    with wire.hold(Point("web1", COMMIT)) as hold:
        held = asyncio.create_task(pay(connection, 1, 1))
        await hold.reached()
        hold.cut()
        with pytest.raises(psycopg.OperationalError):
            await held
    await wire.idle(quiet=0, patience=5)
    assert await bench.balances(accounts) == [100, 100]


async def test_a_client_that_is_killed_while_held_leaves_nothing(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    script = f"import psycopg; c = psycopg.connect({bench.dsn(web1)!r}); c.execute({_UPDATE_TEXT!r}); c.commit()"
    with wire.hold(Point("web1", COMMIT)) as hold:
        app = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
        await hold.reached()
        app.kill()
        await app.wait()
        await hold.ended.wait()
        await wire.idle(quiet=0, patience=5)
    assert await bench.balances(accounts) == [100, 100]
    assert wire.in_flight() == ()


_UPDATE_TEXT = "UPDATE accounts SET balance = 7 WHERE id = 1"


async def test_a_client_that_dies_mid_statement_leaves_the_statement_to_the_server(
    bench: Bench, wire: Wire, web1: Listener, accounts: str, blocked: Callable[[int], Awaitable[list[int]]]
) -> None:
    connection = await bench.connect_asyncpg(web1)
    async with bench.direct(accounts) as direct:
        async with direct.transaction():
            await direct.execute("SELECT * FROM accounts FOR UPDATE")
            dying = asyncio.create_task(connection.execute(_UPDATE_TEXT))
            await blocked(direct.info.backend_pid)
            connection.terminate()
            with pytest.raises(Exception, match="connection"):
                await dying
            with pytest.raises(NotIdle, match="UPDATE accounts"):
                await wire.idle(quiet=0, patience=0)
        await wire.idle(quiet=0, patience=5)
    assert await bench.balances(accounts) == [7, 100]


async def test_a_hold_that_nobody_reaches_says_so(wire: Wire, web1: Listener) -> None:
    with wire.hold(Point("web1", COMMIT)) as hold:
        pass
    with pytest.raises(WireError, match="before any request reached it"):
        await hold.reached()


async def test_a_pause_collects_everybody_and_lets_all_go(bench: Bench, wire: Wire, web1: Listener) -> None:
    connections = [await bench.connect(web1) for _ in range(3)]
    with wire.pause("web1") as pause:
        reads = [asyncio.create_task(one.execute("SELECT * FROM accounts")) for one in connections]
        while len(pause.held) < 3:
            await pause.changed()
        assert {one.backend for one in pause.held} == {one.info.backend_pid for one in connections}
        assert not any(read.done() for read in reads)
    await asyncio.gather(*reads)
    assert pause.held == ()


async def test_a_pause_between_transactions_lets_open_ones_finish(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    connection = await bench.connect(web1)
    await connection.execute("UPDATE accounts SET balance = 5 WHERE id = 1")
    with wire.pause("web1", inside_transactions=False) as pause:
        await connection.commit()
        assert pause.held == ()
        polling = asyncio.create_task(connection.execute("SELECT * FROM accounts"))
        await pause.changed()
        assert [one.sql for one in pause.held] == ["BEGIN"]
        assert wire.open_transactions() == ()
    await polling
    assert await bench.balances(accounts) == [5, 100]


async def test_idle_waits_for_an_open_transaction(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1)
    await connection.execute("SELECT * FROM accounts")
    with pytest.raises(NotIdle, match="transaction"):
        await wire.idle(quiet=0, patience=0)
    waiting = asyncio.create_task(wire.idle(quiet=0))
    await connection.rollback()
    await waiting
    await wire.idle(processes=["web1"], quiet=0.01)


async def test_who_arrives_at_a_pause_that_was_just_released_goes_on(wire: Wire) -> None:
    pause = wire.pause("web1")
    pause.release()
    held = Held(process="web1", connection=1, backend=1, transaction=None, shape="select ?", sql="SELECT 1")
    assert await pause.stop(held) == "release"
    assert pause.held == ()
