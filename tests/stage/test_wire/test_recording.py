"""What is recorded, in both protocols."""

import psycopg
import pytest

from holdtrue.stage.wire import Listener, Wire, facts_of

from .conftest import Bench


async def test_a_simple_query_is_recorded_with_its_tag_and_transaction(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect(web1)
    with wire.record() as recording:
        await connection.execute("UPDATE accounts SET balance = 90 WHERE id = 1")
        await connection.commit()
        await connection.execute("SELECT balance FROM accounts")
        await connection.rollback()
    begin, update, commit, again, select, rollback = recording.statements
    assert [one.kind for one in recording.statements] == ["begin", "update", "commit", "begin", "select", "rollback"]
    assert begin.transaction == update.transaction == commit.transaction
    assert again.transaction == select.transaction == rollback.transaction != begin.transaction
    assert update.tag == "UPDATE 1"
    assert update.protocol == "simple"
    assert update.writes
    assert update.is_write_point
    assert (update.process, update.role, update.backend) == (
        "web1",
        bench.cluster.superuser,
        connection.info.backend_pid,
    )
    assert [one.seq for one in recording.statements] == sorted(one.seq for one in recording.statements)
    assert update.took > 0


async def test_an_extended_query_is_recorded_with_its_parameters(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        await connection.execute("SELECT %s::text, %s::int, %s::int", ("x", None, 5))
    (statement,) = recording.statements
    assert statement.protocol == "extended"
    assert statement.parameters == (b"x", None, b"\x00\x05")
    assert statement.parameter_types == (0, 0, 21)
    assert statement.parameter_formats == (0, 0, 1)
    assert statement.sql == "SELECT $1::text, $2::int, $3::int"
    assert statement.tag == "SELECT 1"


async def test_statements_outside_a_transaction_have_numbers_of_their_own(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        await connection.execute("SELECT 1")
        await connection.execute("SELECT 2")
    assert len({one.transaction for one in recording.statements}) == 2


async def test_a_statement_prepared_before_the_recording_keeps_its_text(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect_asyncpg(web1)
    prepared = await connection.prepare("SELECT balance FROM accounts WHERE id = $1")
    with wire.record() as recording:
        await prepared.fetchval(1)
        await prepared.fetchval(2)
    assert [one.sql for one in recording.statements] == ["SELECT balance FROM accounts WHERE id = $1"] * 2
    assert [one.parameters for one in recording.statements] == [(b"\x00\x00\x00\x01",), (b"\x00\x00\x00\x02",)]


async def test_an_error_is_recorded_with_its_statement(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.execute("INSERT INTO accounts VALUES (%s, 0)", (1,))
        with pytest.raises(psycopg.errors.UndefinedColumn):
            await connection.execute("SELECT nothing FROM accounts WHERE id = %s", (1,))
    insert, select = recording.statements
    assert (insert.sqlstate, insert.tag) == ("23505", None)
    assert insert.message is not None
    assert "duplicate key" in insert.message
    assert select.sqlstate == "42703"
    assert len(select.parameters) == 1


async def test_a_commit_that_fails_at_the_sync_is_borne_by_its_statement(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    async with bench.direct(accounts) as direct:
        await direct.execute(
            "CREATE TABLE fees (account int REFERENCES accounts DEFERRABLE INITIALLY DEFERRED, fee int)"
        )
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording, pytest.raises(psycopg.errors.ForeignKeyViolation):
        await connection.execute("INSERT INTO fees VALUES (%s, 1)", (9,))
    (insert,) = recording.statements
    assert (insert.kind, insert.sqlstate) == ("insert", "23503")


async def test_a_query_string_is_recorded_statement_by_statement_and_is_one_point(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        await connection.execute("BEGIN; UPDATE accounts SET balance = 1; SELECT 1; COMMIT")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute("UPDATE accounts SET balance = 2; SELECT 1 / 0; UPDATE accounts SET balance = 3")
    assert [(one.kind, one.tag, one.sqlstate) for one in recording.statements] == [
        ("begin", "BEGIN", None),
        ("update", "UPDATE 2", None),
        ("select", "SELECT 1", None),
        ("commit", "COMMIT", None),
        ("update", "UPDATE 2", None),
        ("select", None, "22012"),
    ]
    assert len({one.unit for one in recording.statements}) == 2
    assert [point.ordinal for point in recording.points()] == [0, 1]


async def test_a_pipeline_is_recorded_and_what_was_discarded_is_not(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording, pytest.raises(psycopg.errors.DivisionByZero):
        async with connection.pipeline():
            await connection.execute("SELECT %s::int FROM accounts", (1,))
            await connection.execute("UPDATE accounts SET balance = %s / 0", (1,))
            await connection.execute("DELETE FROM accounts WHERE id = %s", (1,))
    assert [(one.kind, one.tag, one.sqlstate) for one in recording.statements] == [
        ("select", "SELECT 2", None),
        ("update", None, "22012"),
    ]
    with wire.record() as recording:
        await connection.execute("SELECT balance FROM accounts WHERE id = %s", (2,))
    assert [one.tag for one in recording.statements] == ["SELECT 1"]


async def test_the_executes_of_one_cursor_are_one_statement(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect_asyncpg(web1)
    with wire.record() as recording:
        async with connection.transaction():
            rows = [
                row[0] async for row in connection.cursor("SELECT generate_series(1, 50) FROM accounts", prefetch=7)
            ]
    assert len(rows) == 100
    assert [one.kind for one in recording.statements] == ["begin", "select", "commit"]


async def test_copy_passes_untouched_in_both_directions(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    rows = [(number, number * 2) for number in range(10, 5000)]
    with wire.record() as recording:
        async with connection.cursor() as cursor:
            async with cursor.copy("COPY accounts FROM STDIN") as copy:
                for row in rows:
                    await copy.write_row(row)
            async with cursor.copy("COPY (SELECT * FROM accounts WHERE id >= %s ORDER BY id) TO STDOUT", (10,)) as copy:
                copy.set_types(["int4", "int4"])
                assert [row async for row in copy.rows()] == rows
    assert [(one.kind, one.writes, one.tag) for one in recording.statements] == [
        ("copy", True, "COPY 4990"),
        ("copy", False, "COPY 4990"),
    ]


async def test_copy_in_extended_protocol_ends_with_the_sync_after_the_data(
    bench: Bench, wire: Wire, web1: Listener
) -> None:
    connection = await bench.connect(web1, autocommit=True)
    pg = connection.pgconn
    with wire.record() as recording:
        async with connection.cursor() as cursor:
            # Parameters make psycopg use the extended protocol.
            async with cursor.copy("COPY accounts FROM STDIN", ()) as copy:
                await copy.write_row((7, 7))
            with pytest.raises(psycopg.errors.UniqueViolation):
                async with cursor.copy("COPY accounts FROM STDIN", ()) as copy:
                    await copy.write_row((7, 7))
        await connection.execute("SELECT %s::int", (1,))
    assert pg.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert [(one.tag, one.sqlstate) for one in recording.statements] == [
        ("COPY 1", None),
        (None, "23505"),
        ("SELECT 1", None),
    ]
    await wire.idle(quiet=0, patience=5)


async def test_requests_label_their_statements(bench: Bench, wire: Wire, web1: Listener, web2: Listener) -> None:
    first, second = await bench.connect(web1, autocommit=True), await bench.connect(web2, autocommit=True)
    with wire.record() as recording, wire.record() as other:
        with recording.label("POST /pay"), recording.label("GET /", process="web2"):
            await first.execute("SELECT 1")
            await second.execute("SELECT 1")
        await first.execute("SELECT 1")
    assert [one.in_request for one in recording.statements] == ["POST /pay", "GET /", None]
    assert [one.in_request for one in other.statements] == [None] * 3
    assert [one.seq for one in recording.statements] == [one.seq for one in other.statements]


async def test_points_carry_ordinals_by_process_and_shape(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1)
    with wire.record() as recording:
        for account in (1, 2):
            await connection.execute("SELECT 1")
            await connection.execute("SELECT * FROM accounts WHERE id = %s FOR UPDATE", (account,))
            await connection.execute("UPDATE accounts SET balance = balance WHERE id = %s", (account,))
        await connection.commit()
    points = recording.points(writes_only=True)
    assert [(point.shape, point.ordinal) for point in points] == [
        ("update accounts set balance = balance where id = ?", 0),
        ("update accounts set balance = balance where id = ?", 1),
        ("commit", 0),
    ]
    assert len(recording.points()) == 5


async def test_a_select_that_calls_a_writing_function_writes(
    bench: Bench, wire: Wire, web1: Listener, accounts: str
) -> None:
    async with bench.direct(accounts) as direct:
        await direct.execute(
            "CREATE FUNCTION pay(int) RETURNS void LANGUAGE sql AS 'UPDATE accounts SET balance = balance - $1'"
        )
        await direct.execute("CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * $1'")
    assert await wire.learn_writing_functions(bench.cluster.superuser) == {"pay"}
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        await connection.execute("SELECT pay(%s)", (1,))
        await connection.execute("SELECT twice(%s)", (1,))
    assert [one.writes for one in recording.statements] == [True, False]


async def test_a_recording_can_be_waited_on(bench: Bench, wire: Wire, web1: Listener) -> None:
    connection = await bench.connect(web1, autocommit=True)
    with wire.record() as recording:
        await connection.execute("SELECT 1")
        statement = await recording.seen(lambda one: one.kind == "select")
        assert statement is recording.statements[0]


async def test_facts_tell_connections_transactions_locks_and_time_spent_idle(
    bench: Bench, accounts: str, web1: Listener
) -> None:
    one, two = await bench.connect(web1), await bench.connect(web1, autocommit=True)
    with bench.wire.record() as recording:
        await one.execute("SELECT balance FROM accounts WHERE id = 1 FOR UPDATE")
        await two.execute("SELECT count(*) FROM accounts")
        await one.execute("UPDATE accounts SET balance = 1 WHERE id = 1")
        await one.commit()
    facts = facts_of(recording.statements)["web1"]
    assert (facts.connections, facts.transactions, facts.writes, facts.locks) == (2, 2, 1, 1)
    first, second = (each for each in recording.statements if each.sql.startswith(("SELECT balance", "UPDATE")))
    assert facts.idle_in_transaction >= round(second.at - first.at - first.took, 6)
