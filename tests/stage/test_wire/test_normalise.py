"""Shapes, kinds and points, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.stage.wire.lexer import statements
from holdtrue.stage.wire.normalise import analyse


def shape(sql: str) -> str:
    (part,) = analyse(sql)
    return part.shape


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM t WHERE a = 1", "select *\n  from T -- why\n where a = $1"),
        ("SELECT 'it''s'", r"SELECT E'it\'s'"),
        ("SELECT $$a; b$$", "SELECT $tag$ ' $tag$"),
        ("SELECT * FROM t WHERE a IN (1, 2, 3)", "SELECT * FROM t WHERE a IN ($1)"),
        ("SELECT * FROM t WHERE a = ANY (ARRAY[1,2])", "SELECT * FROM t WHERE a = ANY (ARRAY[1])"),
        ("INSERT INTO t VALUES (1, now()), (2, now())", "INSERT INTO t VALUES ($1, now())"),
        ("INSERT INTO t VALUES (NULL, true, -5)", "INSERT INTO t VALUES ('x', $1, 1.5e3)"),
        ("SELECT 1 /* a /* nested */ comment */ FROM t", "SELECT 2 FROM t"),
        ("SAVEPOINT sa_savepoint_1", "SAVEPOINT s140123_x7"),
        ('RELEASE SAVEPOINT "_pg3_1"', "RELEASE SAVEPOINT other"),
        ("FETCH FORWARD 10 FROM c1", "FETCH FORWARD 50 FROM c1"),
        ('DEALLOCATE "_pg3_0"', 'DEALLOCATE "_pg3_1"'),
    ],
)
def test_the_same_code_gives_the_same_shape(one: str, other: str) -> None:
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t", "SELECT b FROM t"),
        ('SELECT "A" FROM t', 'SELECT "a" FROM t'),
        ("SELECT * FROM t WHERE a IS NULL", "SELECT * FROM t WHERE a IS NOT NULL"),
        ("SELECT * FROM t WHERE a IS TRUE", "SELECT * FROM t WHERE a IS FALSE"),
        ("SELECT a - 1 FROM t", "SELECT a FROM t"),
        ("SELECT 1 FROM t", "SELECT 1 FROM t FOR UPDATE"),
        ("INSERT INTO t VALUES ($1, $2)", "INSERT INTO t VALUES ($1)"),
    ],
)
def test_different_code_gives_different_shapes(one: str, other: str) -> None:
    assert shape(one) != shape(other)


@pytest.mark.parametrize(
    ("sql", "kind", "writes", "is_point"),
    [
        ("SELECT * FROM t FOR UPDATE", "select", False, True),
        ("SELECT nextval('s')", "select", False, True),
        ("SELECT pg_advisory_xact_lock($1)", "select", False, True),
        ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "select", True, True),
        ("WITH d AS (SELECT 1) INSERT INTO t SELECT * FROM d", "insert", True, True),
        ("SELECT * INTO copy_of_t FROM t", "select", True, True),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "merge", True, True),
        ("EXPLAIN ANALYZE DELETE FROM t", "other", True, True),
        ("EXPLAIN DELETE FROM t", "other", False, True),
        ("COPY t FROM STDIN", "copy", True, True),
        ("COPY (SELECT 1 FROM t) TO STDOUT", "copy", False, True),
        ("CALL p()", "call", True, True),
        ("DO $$ BEGIN DELETE FROM t; END $$", "call", True, True),
        ("TRUNCATE t", "ddl", True, True),
        ("COMMIT", "commit", False, True),
        ("END", "commit", False, True),
        ("ROLLBACK", "rollback", False, True),
        ("ROLLBACK TO SAVEPOINT x", "rollback_to", False, True),
        ("SAVEPOINT x", "savepoint", False, True),
        ("PREPARE TRANSACTION 'x'", "other", True, True),
        ("COMMIT PREPARED 'x'", "commit", True, True),
        ("ROLLBACK PREPARED 'x'", "rollback", False, True),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "begin", False, False),
        ("START TRANSACTION", "begin", False, False),
        ("SELECT 1", "select", False, False),
        ("SELECT 'ping' AS x", "select", False, False),
        ("SELECT pg_catalog.version()", "select", False, False),
        ("SELECT set_config('app.tenant', $1, true)", "select", False, False),
        ("SELECT typname FROM pg_catalog.pg_type t JOIN pg_namespace n ON true", "select", False, False),
        ("WITH RECURSIVE x(a) AS (SELECT oid FROM pg_type) SELECT * FROM x", "select", False, False),
        ("SELECT * FROM pg_type JOIN accounts ON true", "select", False, True),
        ("SET TIME ZONE 'UTC'", "set", False, False),
        ("SHOW search_path", "show", False, False),
        ("DISCARD ALL", "other", False, False),
        ("LISTEN jobs", "other", False, False),
    ],
)
def test_a_statement_says_what_it_can_do(sql: str, kind: str, writes: bool, is_point: bool) -> None:
    (part,) = analyse(sql)
    assert (part.kind, part.writes, part.is_point) == (kind, writes, is_point)


def test_a_query_string_is_split_where_the_server_splits_it() -> None:
    sql = "BEGIN; INSERT INTO t VALUES (';', $$;$$); ; SELECT (1); COMMIT;"
    assert [part.sql for part in analyse(sql)] == [
        "BEGIN",
        "INSERT INTO t VALUES (';', $$;$$)",
        "SELECT (1)",
        "COMMIT",
    ]


def test_the_body_of_a_standard_function_is_one_statement() -> None:
    sql = """CREATE FUNCTION f() RETURNS int BEGIN ATOMIC
        SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3"""
    assert [part.kind for part in analyse(sql)] == ["ddl", "select"]


@pytest.mark.parametrize("sql", ["", ";", "-- nothing", "/* nothing */ ;"])
def test_an_empty_query_has_no_statement(sql: str) -> None:
    assert analyse(sql) == ()


def test_own_functions_are_named() -> None:
    (part,) = analyse('SELECT procrastinate_defer_job($1), app."Pay"(2), count(*) FROM t WHERE a IN (1)')
    assert part.calls == {"procrastinate_defer_job", "Pay", "count"}


@given(st.text())
def test_any_text_is_read_to_its_end(sql: str) -> None:
    for found in statements(sql):
        assert all(sql[token.start : token.end] for token in found)
    analyse(sql)
