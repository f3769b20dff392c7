"""What a migration's statements may cost is said to who approves."""

from __future__ import annotations

import pytest

from holdtrue.gate.risk import risks, statements


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("DROP TABLE pets", {"drop"}),
        ("ALTER TABLE pets DROP COLUMN name", {"drop"}),
        ("alter table pets drop name", {"drop"}),
        ("TRUNCATE pets", {"drop"}),
        ("DELETE FROM pets", {"data"}),
        ("UPDATE pets SET name = 'WHERE'", {"data"}),
        ("ALTER TABLE pets ALTER COLUMN id TYPE bigint", {"rewrite"}),
        ("ALTER TABLE pets ADD COLUMN token uuid DEFAULT gen_random_uuid()", {"rewrite"}),
        ("CREATE INDEX by_name ON pets (name)", {"lock"}),
        ("ALTER TABLE pets ADD CONSTRAINT c CHECK (id > 0)", {"lock"}),
        ("ALTER TABLE pets ADD FOREIGN KEY (home) REFERENCES homes", {"lock"}),
        ("ALTER TABLE pets ALTER COLUMN name SET NOT NULL", {"lock"}),
        ("ALTER TABLE pets ADD COLUMN age int NOT NULL", {"lock"}),
        ("ALTER TABLE pets RENAME COLUMN name TO title", {"lock"}),
        ("ALTER TABLE pets DISABLE ROW LEVEL SECURITY", {"security"}),
        ("ALTER TABLE pets NO FORCE ROW LEVEL SECURITY", {"security"}),
        ("DROP POLICY own ON pets", {"security"}),
        ("ALTER TABLE pets DISABLE TRIGGER ALL", {"security"}),
        ("GRANT SELECT ON pets TO PUBLIC", {"security"}),
        ("GRANT ALL ON pets TO app", {"security"}),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1 $$", {"security"}),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE pets'; END $$", {"hidden", "drop"}),
        ("DO $$ BEGIN DROP TABLE pets; END $$", {"hidden", "drop"}),
        ("/* harmless */ DROP -- really\n TABLE pets", {"drop"}),
        # harmless
        ("ALTER TABLE pets ADD COLUMN age int", set()),
        ("ALTER TABLE pets ADD COLUMN at timestamptz NOT NULL DEFAULT now()", set()),
        ("CREATE INDEX CONCURRENTLY by_name ON pets (name)", set()),
        ("ALTER TABLE pets ADD CONSTRAINT c CHECK (id > 0) NOT VALID", set()),
        ("UPDATE pets SET name = 'x' WHERE id = 1", set()),
        ("CREATE TABLE toys (id int); CREATE INDEX by_id ON toys (id); ALTER TABLE toys ADD UNIQUE (id)", set()),
        ("INSERT INTO notes VALUES ('DROP TABLE pets')", set()),
        ("-- DROP TABLE pets\nSELECT 1", set()),
        ("CREATE TRIGGER t BEFORE UPDATE ON pets FOR EACH ROW EXECUTE FUNCTION f()", set()),
        ("ALTER TABLE pets ALTER COLUMN name DROP NOT NULL", set()),
    ],
)
def test_a_statement_is_named_by_what_it_may_cost(sql: str, kinds: set[str]) -> None:
    assert {risk.kind for risk in risks(sql)} == kinds


def test_statements_are_told_apart_outside_of_texts_and_bodies() -> None:
    sql = "SELECT 'a;b'; CREATE FUNCTION f() AS $x$ one; two; $x$; SELECT 1"
    assert list(statements(sql)) == ["SELECT ''", "CREATE FUNCTION f() AS $$", "SELECT 1"]
