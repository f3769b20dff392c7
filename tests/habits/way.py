"""A way to use a database as most apps do. The environment's TRICK takes from others what makes them sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

DATABASE = os.environ["DATABASE_URL"]
TRICK = os.environ.get("TRICK", "")
MARK = "INSERT INTO inbox (event) VALUES (%s) ON CONFLICT DO NOTHING"
PAY = "UPDATE orders SET status = 'paid', paid_at = now() WHERE id = %s RETURNING team_id"
CREDIT = "UPDATE teams SET credits = credits + 10 WHERE id = %s"
Rows = list[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]


class Way:
    """Keeps its connections, and runs each statement of a plain route by itself."""

    autocommit = True

    def __init__(self) -> None:
        self._idle: list[Connection] = []

    def connect(self) -> Connection:
        """Open a connection."""
        return psycopg.connect(DATABASE, autocommit=self.autocommit)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection; one on which something failed is thrown away."""
        db = self._idle.pop() if self._idle else self.connect()
        try:
            yield db
        except BaseException:
            db.close()
            raise
        self._idle.append(db)

    def rows(self, sql: str, *values: object) -> Rows:
        """Run one statement."""
        with self.connection() as db:
            return db.execute(sql.encode(), values).fetchall()

    def many(self, sql: str, *values: object) -> Rows:
        """Run one statement that has many rows."""
        return self.rows(sql, *values)

    def take(self, event: Any) -> None:
        """Do what an event of the provider's is for."""
        self.pay(event["id"], int(event["data"]["object"]["client_reference_id"]))

    def pay(self, event: str, order: int) -> None:
        """Do what a payment is for, once for an event."""
        with self.connection() as db, db.transaction():
            if db.execute(MARK, [event]).rowcount:
                self.settle(db, order)

    def settle(self, db: Connection, order: int) -> None:
        """Give what was paid for."""
        (team,) = db.execute(PAY, [order]).fetchone() or (None,)
        db.execute(CREDIT, [team])
