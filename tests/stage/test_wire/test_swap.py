"""Leading live connections to another database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from holdtrue.stage.wire import Listener, Wire
from holdtrue.stage.wire.connector import Connector
from holdtrue.stage.wire.two_phase import identifier_of

from .conftest import Bench


async def test_an_idle_pool_does_not_notice_a_swap_and_the_earlier_database_is_free(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    pool = [await bench.connect(web1, autocommit=True) for _ in range(6)]
    for connection in pool:
        await connection.execute("SELECT 1")
    await wire.swap("postgres")
    clone = await bench.database(template=accounts)
    await wire.swap(clone)
    await bench.admin.execute(f"DROP DATABASE {accounts}")
    bench.accounts = None
    for connection in pool:
        assert await _database_of(connection) == clone


async def test_it_is_known_that_a_client_waits_for_a_connection_to_the_server(
    bench: Bench, wire: Wire, web1: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[tuple[str, bool]] = []

    def watched(name: str, make: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any) -> Any:
            known.append((name, wire.greeting))
            return await make(*arguments)

        return call

    for name in ("open", "open_again"):
        monkeypatch.setattr(Connector, name, watched(name, getattr(Connector, name)))
    connection = await bench.connect(web1, autocommit=True)
    await connection.execute("SELECT 1")
    assert not wire.greeting
    await wire.swap(await bench.database(template="template1"))
    assert not wire.greeting
    await connection.execute("SELECT 1")
    assert known == [("open", True), ("open_again", True), ("open", True)]
    assert not wire.greeting


async def test_prepared_statements_survive_a_swap(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    clone = await bench.database(template=accounts)
    async with bench.direct(clone) as direct:
        await direct.execute("UPDATE accounts SET balance = 5")
    query = "SELECT balance FROM accounts WHERE id = %s"
    connection = await bench.connect(web1, autocommit=True)
    await connection.execute(query, (1,), prepare=True)
    await connection.execute("PREPARE by_sql AS SELECT balance FROM accounts WHERE id = $1")
    other = await bench.connect_asyncpg(web1)
    prepared = await other.prepare("SELECT balance FROM accounts WHERE id = $1")
    assert await prepared.fetchval(1) == 100
    await wire.swap(clone)
    assert await (await connection.execute(query, (1,), prepare=True)).fetchone() == (5,)
    assert await (await connection.execute("EXECUTE by_sql(2)")).fetchone() == (5,)
    assert await prepared.fetchval(2) == 5


async def test_advisory_locks_of_a_session_survive_a_swap_and_only_those_it_has(
    bench: Bench, wire: Wire, web1: Listener, web2: Listener
) -> None:
    leader = await bench.connect(web1, autocommit=True)
    await leader.execute("SELECT pg_advisory_lock(-5), pg_try_advisory_lock(7, -7), pg_advisory_lock_shared(9)")
    await leader.execute("SELECT pg_advisory_lock(hashtext(%s))", ("freed",))
    await leader.execute("SELECT pg_advisory_unlock(hashtext(%s))", ("freed",))
    await leader.execute("SELECT pg_advisory_xact_lock(11)")
    other = await bench.connect(web2, autocommit=True)
    assert await (await other.execute("SELECT pg_try_advisory_lock(-5)")).fetchone() == (False,)
    await wire.swap(await bench.database())
    # The leader has asked nothing yet, and is in office again.
    trying = "SELECT {}(-5), {}(7, -7), {}(9), {}(hashtext('freed')), {}(11)".replace("{}", "pg_try_advisory_lock")
    assert await (await other.execute(trying.encode())).fetchone() == (False, False, False, True, True)
    assert await (await other.execute("SELECT pg_try_advisory_lock_shared(9)")).fetchone() == (True,)
    await other.execute("SELECT pg_advisory_unlock_all()")
    unlocking = "SELECT pg_advisory_unlock(-5), pg_advisory_unlock(7, -7), pg_advisory_unlock_shared(9)"
    assert await (await leader.execute(unlocking.encode())).fetchone() == (True, True, True)
    await wire.swap(await bench.database())
    assert await (await other.execute(trying.encode())).fetchone() == (True,) * 5


async def test_a_swap_to_a_template_that_lets_nobody_in_is_made_though_somebody_holds_a_lock(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    leader = await bench.connect(web1, autocommit=True)
    await leader.execute("SELECT pg_advisory_lock(1)")
    closed = await bench.database()
    await bench.admin.execute(f"ALTER DATABASE {closed} WITH ALLOW_CONNECTIONS false".encode())
    await wire.swap(closed)
    await wire.swap(opened := await bench.database())
    assert await _database_of(await bench.connect(web1, autocommit=True)) == opened


@pytest.mark.parametrize(
    ("sql", "identifier"),
    [
        (b"PREPARE TRANSACTION 'it''s'", "it's"),
        (b"-- first\n/* then */ prepare  transaction 'a'", "a"),
        (b"PREPARE look AS SELECT 1", None),
        (b"/**/" * 10_000 + b"SELECT 1", None),
    ],
)
def test_an_identifier_is_found_behind_comments_however_many(sql: bytes, identifier: str | None) -> None:
    assert identifier_of([b"BEGIN", sql]) == identifier


async def test_what_is_prepared_in_another_database_is_waited_for_as_production_has_no_other(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    elsewhere = await bench.database()
    async with bench.direct(elsewhere) as other:
        for statement in ("BEGIN", "CREATE TABLE t ()", "PREPARE TRANSACTION 'it''s'"):
            await other.execute(statement.encode())
        connection = await bench.connect(web1)
        await connection.tpc_begin("it's")
        await connection.execute("UPDATE accounts SET balance = 1")
        preparing = asyncio.create_task(connection.tpc_prepare())
        while not any(each.sql.startswith("PREPARE") and not each.held for each in wire.in_flight()):
            await bench.admin.execute("SELECT 1")
        await other.execute("ROLLBACK PREPARED 'it''s'")
        await preparing
        await connection.tpc_commit()
    assert await bench.balances(web1.database) == [1, 1]


async def test_cursors_that_are_held_survive_a_swap_before_their_first_row(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    clone = await bench.database(template=accounts)
    connection = await bench.connect(web1)
    await connection.execute("DECLARE plain CURSOR FOR SELECT 'with', 'hold' FROM accounts")
    await connection.execute("DECLARE closed CURSOR WITH HOLD FOR SELECT id FROM accounts")
    await connection.execute('DECLARE "Kept" SCROLL CURSOR WITH HOLD FOR SELECT id FROM accounts WHERE id > %s', (1,))
    await connection.commit()
    await connection.execute("DECLARE undone CURSOR WITH HOLD FOR SELECT id FROM accounts")
    await connection.rollback()
    await connection.execute("CLOSE closed")
    await connection.execute('FETCH NEXT FROM "Kept"')
    await connection.commit()
    await wire.swap(clone)
    assert await (await connection.execute('FETCH ALL FROM "Kept"')).fetchall() == [(2,)]
    names = await (await connection.execute("SELECT name FROM pg_cursors WHERE is_holdable")).fetchall()
    assert names == [("Kept",)]


async def test_settings_survive_a_swap_unless_they_were_local_rolled_back_or_reset(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    connection = await bench.connect(web1, application_name="shop", options="-c statement_timeout=4321")
    for statement in (
        "SET app.kept TO 'kept'",
        "SET LOCAL app.local TO 'local'",
        "SET TIME ZONE 'Asia/Tokyo'",
        "SELECT set_config('app.session', 'x', false), set_config('app.transaction', 'x', true)",
        "SET app.reset TO 'x'",
    ):
        await connection.execute(statement)
    await connection.execute("SELECT set_config(%s, %s, %s)", ("app.bound", "bound", False))
    await connection.execute("SELECT set_config(%s, %s, %s)", ("app.bound_locally", "bound", True))
    await connection.execute("SAVEPOINT one")
    await connection.execute("SET app.savepoint TO 'x'")
    await connection.execute("ROLLBACK TO SAVEPOINT one")
    await connection.commit()
    await connection.execute("SET app.rolled_back TO 'x'")
    await connection.rollback()
    await connection.execute("RESET app.reset")
    await connection.commit()
    await wire.swap(await bench.database(template="template1"))
    names = ["kept", "local", "session", "reset", "bound", "bound_locally", "savepoint", "rolled_back"]
    row = await (
        await connection.execute(
            "SELECT current_setting('TimeZone'), current_setting('application_name'),"
            " current_setting('statement_timeout'),"
            + ", ".join(f"current_setting('app.{name}', true)" for name in names)
        )
    ).fetchone()
    assert row is not None
    assert row[:3] == ("Asia/Tokyo", "shop", "4321ms")
    values = dict(zip(names, row[3:], strict=True))
    assert {name for name, value in values.items() if value} == {"kept", "session", "bound"}


async def test_the_role_survives_a_swap(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    await connection.execute("SET ROLE pg_read_all_data")
    await connection.execute("RESET ALL")
    await wire.swap("postgres")
    assert await (await connection.execute("SELECT current_user")).fetchone() == ("pg_read_all_data",)


async def test_discard_all_leaves_nothing_to_set_up_again(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    await connection.execute("SET app.kept TO 'kept'")
    await connection.execute("PREPARE by_sql AS SELECT 1")
    await connection.execute("DISCARD ALL")
    await wire.swap("postgres")
    assert await (await connection.execute("SELECT current_setting('app.kept', true)")).fetchone() == (None,)
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        await connection.execute("EXECUTE by_sql")


async def test_swaps_in_quick_succession_end_at_the_last_one(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    second, third = await bench.database(), await bench.database()
    asked = asyncio.create_task(_database_of(connection))
    await asyncio.gather(wire.swap(second), wire.swap(third))
    await asked
    assert await _database_of(connection) == third
    # Again while the lazy reconnection is under way.
    await wire.swap(second)
    asked = asyncio.create_task(_database_of(connection))
    await wire.swap(third)
    assert await asked in (second, third)
    assert await _database_of(connection) == third


async def test_clients_that_connect_during_a_swap_get_the_new_database(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    second = await bench.database()
    connecting = [asyncio.create_task(bench.connect(web1, autocommit=True)) for _ in range(4)]
    swapping = asyncio.create_task(wire.swap(second))
    connections = await asyncio.gather(*connecting)
    await swapping
    assert {await _database_of(connection) for connection in connections} == {second}


async def test_a_swap_waits_for_an_open_transaction(bench: Bench, wire: Wire, web1: Listener, accounts: str) -> None:
    second = await bench.database()
    connection = await bench.connect(web1)
    await connection.execute("UPDATE accounts SET balance = 1")
    swapping = asyncio.create_task(wire.swap(second))
    assert await _database_of(connection) == accounts
    await connection.commit()
    await swapping
    assert await bench.balances(accounts) == [1, 1]
    assert await _database_of(connection) == second


async def test_a_swap_cuts_who_does_not_come_to_an_end(
    bench: Bench, wire: Wire, web1: Listener, web2: Listener, accounts: str
) -> None:
    open_one, busy_one = await bench.connect(web1), await bench.connect(web2, autocommit=True)
    await open_one.execute("UPDATE accounts SET balance = 1")
    sleeping = asyncio.create_task(busy_one.execute("SELECT pg_sleep(60)"))
    await bench.sleeping()
    await wire.swap(await bench.database(), patience=0)
    with pytest.raises(psycopg.OperationalError):
        await sleeping
    with pytest.raises(psycopg.OperationalError):
        await open_one.commit()
    await bench.admin.execute(f"ALTER DATABASE {accounts} RENAME TO {accounts}_free")
    await bench.admin.execute(f"ALTER DATABASE {accounts}_free RENAME TO {accounts}")
    assert await bench.balances(accounts) == [100, 100]


async def test_a_parked_listener_hears_the_new_database_at_once(bench: Bench, wire: Wire, web1: Listener) -> None:
    parked = await bench.connect_asyncpg(web1)
    heard: asyncio.Queue[str] = asyncio.Queue()
    await parked.add_listener("jobs", lambda *told: heard.put_nowait(str(told[-1])))
    for payload in ("first", "second"):
        name = await bench.database()
        await wire.swap(name)
        async with bench.direct(name) as direct:
            await direct.execute("SELECT pg_notify('jobs', %s)", (payload,))
        assert await heard.get() == payload
    # Its own notifications come from the process id that it knows.
    told: asyncio.Queue[int] = asyncio.Queue()
    await parked.add_listener("own", lambda _, backend, *__: told.put_nowait(backend))
    await parked.execute("NOTIFY own")
    assert await told.get() == parked.get_server_pid()
    await parked.remove_listener("jobs", lambda *_: None)
    await parked.close()


async def test_a_cancel_request_reaches_the_present_backend_after_a_swap(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect(web1, autocommit=True)
    given = connection.info.backend_pid
    await wire.swap("postgres")
    assert (await (await connection.execute("SELECT pg_backend_pid()")).fetchone()) != (given,)
    assert connection.info.backend_pid == given
    sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
    await bench.sleeping()
    await connection.cancel_safe()
    with pytest.raises(psycopg.errors.QueryCanceled):
        await sleeping
    await wire.swap("template1")


async def test_a_client_learns_of_settings_that_differ_after_a_swap(bench: Bench, wire: Wire, web1: Listener) -> None:
    second = await bench.database()
    await bench.admin.execute(f"ALTER DATABASE {second} SET TimeZone TO 'Asia/Tokyo'")
    connection = await bench.connect(web1, autocommit=True)
    assert connection.info.parameter_status("TimeZone") == "UTC"
    await wire.swap(second)
    await connection.execute("SELECT 1")
    assert connection.info.parameter_status("TimeZone") == "Asia/Tokyo"


async def test_a_swap_to_a_database_that_is_not_there_reaches_the_client_as_the_servers_own_error(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect(web1, autocommit=True)
    await wire.swap("nowhere")
    with pytest.raises(psycopg.errors.InvalidCatalogName, match='database "nowhere" does not exist'):
        await connection.execute("SELECT 1")
    await wire.idle(quiet=0, patience=5)


async def _database_of(connection: psycopg.AsyncConnection) -> str:
    row = await (await connection.execute("SELECT current_database()")).fetchone()
    assert row is not None
    return str(row[0])


async def test_two_listeners_exchange_their_names_under_living_connections(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    second = await wire.listen("web2", accounts)
    connection = await bench.connect(second, autocommit=True)
    await connection.execute("SELECT 1")
    wire.exchange_names("web1", "web2")
    with wire.record() as recording:
        await connection.execute("UPDATE accounts SET balance = 1")
    assert [statement.process for statement in recording.statements] == ["web1"]
    assert (web1.name, second.name) == ("web2", "web1")
    arm = wire.cut(recording.points()[0], when="before")
    with pytest.raises(psycopg.OperationalError):
        await connection.execute("UPDATE accounts SET balance = 1")
    assert arm.fired.is_set()
    clone = await bench.database(template="template0")
    await wire.swap(clone)
    assert await _database_of(await bench.connect(web1, autocommit=True)) == clone
