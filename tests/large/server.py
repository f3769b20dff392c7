"""Many kinds of things, each in a table of its own, with six routes for each kind: sound, but for what FAULT says."""

from __future__ import annotations

import json
import os
import queue
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import answering
import psycopg

DATABASE = os.environ["DATABASE_URL"]
KINDS = os.environ["KINDS"].split()
FAULT = os.environ.get("FAULT", "")
"""``without tenant: GET /thing07s/:id``, or ``without permission: …``."""
Answer = tuple[int, Any]
Action = Callable[[psycopg.Connection, str, int | None, int, Any], Answer]


# -- the six routes of a kind: each is told the tenant, or None where it does not ask whose a row is -------------------


def listed(db: psycopg.Connection, table: str, team: int | None, _: int, __: Any) -> Answer:
    """Every row of the team."""
    rows = db.execute(*query(f"SELECT id, title, archived FROM {table} WHERE true", team)).fetchall()
    return 200, {"items": rows}


def read(db: psycopg.Connection, table: str, team: int | None, key: int, _: Any) -> Answer:
    """One row."""
    row = db.execute(*query(f"SELECT id, title, archived FROM {table} WHERE id = %s", team, key)).fetchone()
    return (200, {"id": row[0], "title": row[1], "archived": row[2]}) if row else (404, {})


def changed(db: psycopg.Connection, table: str, team: int | None, key: int, body: Any) -> Answer:
    """One row with another title."""
    return done(db.execute(*query(f"UPDATE {table} SET title = %s WHERE id = %s", team, body["title"], key)))


def deleted(db: psycopg.Connection, table: str, team: int | None, key: int, _: Any) -> Answer:
    """One row no more."""
    return done(db.execute(*query(f"DELETE FROM {table} WHERE id = %s", team, key)))


def archived(db: psycopg.Connection, table: str, team: int | None, key: int, _: Any) -> Answer:
    """One row put away."""
    return done(db.execute(*query(f"UPDATE {table} SET archived = true WHERE id = %s", team, key)))


def query(sql: str, team: int | None, *values: object) -> tuple[bytes, list[object]]:
    """The statement with the team's predicate."""
    return (sql.encode(), [*values]) if team is None else (f"{sql} AND team_id = %s".encode(), [*values, team])


def done(cursor: psycopg.Cursor[Any]) -> Answer:
    """What came of a change."""
    return (200, {}) if cursor.rowcount else (404, {})


ACTIONS: dict[tuple[str, bool, str], tuple[str, Action]] = {
    ("GET", False, ""): ("GET /{kind}s", listed),
    ("GET", True, ""): ("GET /{kind}s/:id", read),
    ("PUT", True, ""): ("PUT /{kind}s/:id", changed),
    ("DELETE", True, ""): ("DELETE /{kind}s/:id", deleted),
    ("POST", True, "archive"): ("POST /{kind}s/:id/archive", archived),
}


class Handler(answering.Handler):
    """Routes by method and path."""

    def handle_request(self) -> None:
        """Answer one request."""
        body = json.loads(self.sent() or b"{}")
        with connection() as db, db.transaction():
            status, content = self.health(db) if self.path == "/health" else self.route(db, body)
        self.answer(status, content)

    def health(self, db: psycopg.Connection) -> Answer:
        """Whether the schema is there."""
        return (200, {}) if one(db, "SELECT to_regclass(%s)", f"{KINDS[-1]}s") else (503, {"error": "not migrated"})

    def route(self, db: psycopg.Connection, body: Any) -> Answer:
        """Do what is asked."""
        if self.path == "/teams" and self.command == "POST":
            team = one(db, "INSERT INTO teams (name) VALUES (%s) RETURNING id", body["name"])
            return 201, {"team_id": team, "token": enter(db, team, "owner")}
        kind, key, action = taken_apart(self.path)
        found = db.execute("SELECT team_id, role FROM members WHERE token = %s", [self.headers.get("authorization")])
        member = found.fetchone()
        if self.path == "/members" and self.command == "POST" and member and member[1] == "owner":
            return 201, {"token": enter(db, member[0], body["role"])}
        if kind not in KINDS:
            return 404, {"error": "no such page"}
        if self.command == "POST" and not key:
            return self.create(db, kind, member, body)
        name, act = ACTIONS.get((self.command, bool(key), action), ("", None))
        if act is None:
            return 404, {"error": "no such page"}
        name = name.replace("{kind}", kind)
        if (refusal := self.refused(name, member)) is not None:
            return refusal
        team = None if f"without tenant: {name}" == FAULT or member is None else member[0]
        return act(db, f"{kind}s", team, int(key or 0), body)

    def create(self, db: psycopg.Connection, kind: str, member: Any, body: Any) -> Answer:
        """Make one of a kind."""
        if (refusal := self.refused(f"POST /{kind}s", member)) is not None:
            return refusal
        sql = f"INSERT INTO {kind}s (team_id, title) VALUES (%s, %s) RETURNING id"
        return 201, {"id": one(db, sql, member[0], body["title"])}

    def refused(self, name: str, member: Any) -> Answer | None:
        """Why not, where it is not allowed."""
        if f"without permission: {name}" == FAULT:
            return None if member else (401, {"error": "sign in"})
        if member is None:
            return 401, {"error": "sign in"}
        if self.command != "GET" and member[1] != "owner":
            return 403, {"error": "owners only"}
        return None


def taken_apart(path: str) -> tuple[str, str, str]:
    """``/things/7/archive`` → kind, key, action; empty where there is none."""
    kind, key, action = [*path.strip("/").split("/"), "", ""][:3]
    return kind.removesuffix("s"), key if key.isdigit() else "", action


def one(db: psycopg.Connection, sql: str, *values: object) -> Any:
    """The first value of the first row."""
    return db.execute(sql.encode(), values).fetchone()[0]  # type: ignore[index]


def enter(db: psycopg.Connection, team: int, role: str) -> str:
    """Let a new member into a team."""
    token = f"token-{role}-{os.urandom(12).hex()}"
    db.execute("INSERT INTO members (team_id, role, token) VALUES (%s, %s, %s)", [team, role, token])
    return token


idle: queue.SimpleQueue[psycopg.Connection] = queue.SimpleQueue()


@contextmanager
def connection() -> Iterator[psycopg.Connection]:
    """A pooled connection; a broken one is not given back."""
    try:
        db = idle.get_nowait()
    except queue.Empty:
        db = psycopg.connect(DATABASE, autocommit=True)
    try:
        yield db
    finally:
        if db.broken:
            db.close()
        else:
            idle.put(db)


answering.serve(int(sys.argv[1]), Handler)
