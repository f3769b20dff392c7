"""Ways to use a database: each is sound as it stands. The environment's TRICK takes from one what makes it so."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

DATABASE = os.environ["DATABASE_URL"]
TRICK = os.environ.get("TRICK", "")
BACKOFF = 1.0
"""Seconds until a listener that lost its connection, or could not do its work, begins anew."""
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

    def pay(self, event: str, order: int) -> None:
        """Do what a payment is for, once for an event."""
        with self.connection() as db, db.transaction():
            if db.execute(MARK, [event]).rowcount:
                self.settle(db, order)

    def settle(self, db: Connection, order: int) -> None:
        """Give what was paid for."""
        (team,) = db.execute(PAY, [order]).fetchone() or (None,)
        db.execute(CREDIT, [team])


class Fresh(Way):
    """A connection for each statement, or for each transaction."""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open one, and close it."""
        with psycopg.connect(DATABASE, autocommit=True) as db:
            yield db

    def pay(self, event: str, order: int) -> None:
        """In one transaction; the trick has a connection for each of its statements, too."""
        if TRICK != "a transaction each":
            super().pay(event, order)
        elif self.rows(f"{MARK} RETURNING event", event):
            ((team,),) = self.rows(PAY, order)
            self.rows(f"{CREDIT} RETURNING id", team)


class Autocommit(Way):
    """Never begins a transaction: what belongs together is one statement."""

    def pay(self, event: str, order: int) -> None:
        """Mark, pay and credit in one; the trick marks first."""
        with self.connection() as db:
            if TRICK == "two statements":
                if db.execute(MARK, [event]).rowcount:
                    db.execute(f"WITH paid AS ({PAY}) {CREDIT % '(SELECT team_id FROM paid)'}".encode(), [order])
                return
            paid = f"{PAY.partition('RETURNING')[0]} AND EXISTS (SELECT FROM fresh) RETURNING team_id"
            whole = f"WITH fresh AS ({MARK} RETURNING event), paid AS ({paid}) {CREDIT % '(SELECT team_id FROM paid)'}"
            db.execute(whole.encode(), [event, order])


class Advisory(Way):
    """Locks a number that stands for the event, until the transaction's end."""

    def pay(self, event: str, order: int) -> None:
        """Ask whether it was handled only behind the lock."""
        with self.connection() as db, db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [event])
            self.once(db, event, order)

    def once(self, db: Connection, event: str, order: int) -> None:
        """Handle it if nobody has; there is no key that would catch a second one."""
        if not self.is_handled(db, event):
            db.execute("INSERT INTO handled (event) VALUES (%s)", [event])
            self.settle(db, order)

    def is_handled(self, db: Connection, event: str) -> bool:
        """Whether it is marked."""
        return db.execute("SELECT FROM handled WHERE event = %s", [event]).fetchone() is not None


class SessionAdvisory(Advisory):
    """Locks it for the session, around the transaction; the trick looks before it locks."""

    def pay(self, event: str, order: int) -> None:
        """Ask whether it was handled only behind the lock."""
        with self.connection() as db:
            late = TRICK == "locks too late"
            if late and self.is_handled(db, event):
                return
            db.execute("SELECT pg_advisory_lock(hashtext(%s))", [event])
            try:
                with db.transaction():
                    if late:
                        db.execute("INSERT INTO handled (event) VALUES (%s)", [event])
                        self.settle(db, order)
                    else:
                        self.once(db, event, order)
            finally:
                if not db.closed:
                    db.execute("SELECT pg_advisory_unlock(hashtext(%s))", [event])


class Listening(Way):
    """A listener, whose connection stays open, does the work as soon as it is told; the trick tells it all in words."""

    def __init__(self, *, inside: bool = True) -> None:
        super().__init__()
        if inside:
            threading.Thread(target=self.work, daemon=True).start()

    def pay(self, event: str, order: int) -> None:
        """Leave the work to the listener, and tell it when that is committed."""
        with self.connection() as db, db.transaction():
            if not db.execute(MARK, [event]).rowcount:
                return
            if TRICK == "work in the notification":
                db.execute("SELECT pg_notify('jobs', %s)", [json.dumps(order)])
                return
            db.execute("INSERT INTO jobs (order_id) VALUES (%s)", [order])
            db.execute("NOTIFY jobs")

    def work(self) -> None:
        """Listen for ever; who loses its connection begins anew, and looks for what was left meanwhile."""
        while True:
            try:
                with psycopg.connect(DATABASE, autocommit=True) as db:
                    db.execute("LISTEN jobs")
                    self.drain()
                    for told in db.notifies():
                        if told.payload:
                            with self.connection() as other, other.transaction():
                                self.settle(other, json.loads(told.payload))
                        self.drain()
            except psycopg.OperationalError:
                threading.Event().wait(BACKOFF)

    def drain(self) -> None:
        """Do all that is left to do."""
        while True:
            with self.connection() as db, db.transaction():
                take = "DELETE FROM jobs WHERE id = (SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
                job = db.execute(f"{take} RETURNING order_id".encode()).fetchone()
                if job is None:
                    return
                self.settle(db, job[0])


class Elected(Listening):
    """Of all processes one does the work: the one whose session has a lock, from its start to its end."""

    def work(self) -> None:
        """Stand for election until elected; whoever loses the connection has lost the office with it."""
        while True:
            try:
                with psycopg.connect(DATABASE, autocommit=True) as db:
                    while db.execute("SELECT pg_try_advisory_lock(7, 7)").fetchone() != (True,):
                        threading.Event().wait(BACKOFF)
                    db.execute("LISTEN jobs")
                    self.drain()
                    for _ in db.notifies():
                        self.drain()
            except psycopg.OperationalError:
                threading.Event().wait(BACKOFF)

    def drain(self) -> None:
        """Do all that is left to do; nobody else does, so no row is locked."""
        while True:
            with self.connection() as db:
                job = db.execute("SELECT id, order_id FROM jobs ORDER BY id LIMIT 1").fetchone()
                if job is None:
                    return
                with db.transaction():
                    self.settle(db, job[1])
                    db.execute("DELETE FROM jobs WHERE id = %s", [job[0]])


class Pipelined(Way):
    """Sends a whole transaction, its COMMIT included, before it reads an answer; the trick makes it two."""

    def many(self, sql: str, *values: object) -> Rows:
        """Run two statements in one piece."""
        with self.connection() as db, db.pipeline():
            db.execute("SELECT count(*) FROM notes")
            return db.execute(sql.encode(), values).fetchall()

    def pay(self, event: str, order: int) -> None:
        """An event that is known already fails the whole piece."""
        try:
            with self.connection() as db, db.pipeline() as pipeline:
                db.execute("INSERT INTO inbox (event) VALUES (%s)", [event])
                if TRICK == "two pieces":
                    pipeline.sync()
                db.execute(f"WITH paid AS ({PAY}) {CREDIT % '(SELECT team_id FROM paid)'}".encode(), [order])
        except psycopg.errors.UniqueViolation:
            return


class PipelinedBlock(Pipelined):
    """The same, in a transaction block."""

    def pay(self, event: str, order: int) -> None:
        """An event that is known already fails the whole piece."""
        try:
            with self.connection() as db, db.pipeline(), db.transaction():
                db.execute("INSERT INTO inbox (event) VALUES (%s)", [event])
                db.execute(f"WITH paid AS ({PAY}) {CREDIT % '(SELECT team_id FROM paid)'}".encode(), [order])
        except psycopg.errors.UniqueViolation:
            return


class TwoPhase(Way):
    """Prepares its transaction, then commits it; the trick never comes back to one that was left prepared."""

    autocommit = False

    def rows(self, sql: str, *values: object) -> Rows:
        """Run one statement."""
        with self.connection() as db:
            found = db.execute(sql.encode(), values).fetchall()
            db.commit()
            return found

    def pay(self, event: str, order: int) -> None:
        """Finish what somebody has left prepared, or else do it."""
        with self.connection() as db:
            xid = f"kiosk-{event}"
            if TRICK != "forgets what it prepared":
                left = "SELECT FROM pg_prepared_xacts WHERE gid = %s AND database = current_database()"
                found = db.execute(left, [xid]).fetchone()
                db.rollback()
                if found is not None:
                    db.tpc_commit(xid)
                    return
            db.tpc_begin(xid)
            db.execute("SET LOCAL lock_timeout = '1s'")
            if db.execute(MARK, [event]).rowcount:
                self.settle(db, order)
            db.tpc_prepare()
            db.tpc_commit()


class Cursors(Way):
    """Reads through cursors of the server, one row after the other."""

    autocommit = False
    hold = False

    def rows(self, sql: str, *values: object) -> Rows:
        """Run one statement."""
        with self.connection() as db:
            found = db.execute(sql.encode(), values).fetchall()
            db.commit()
            return found

    def many(self, sql: str, *values: object) -> Rows:
        """Fetch row by row; one WITH HOLD outlives its transaction."""
        with self.connection() as db:
            with db.cursor("notes", withhold=self.hold) as cursor:
                cursor.execute(sql.encode(), values)
                if self.hold:
                    db.commit()
                found = list(iter(cursor.fetchone, None))
            db.commit()
            return found

    def settle(self, db: Connection, order: int) -> None:
        """Lock what a cursor stands on, and change it there."""
        with db.cursor("open_orders") as cursor:
            cursor.execute("SELECT team_id FROM orders WHERE id = %s FOR UPDATE", [order])
            (team,) = cursor.fetchone() or (None,)
            db.execute("UPDATE orders SET status = 'paid', paid_at = now() WHERE CURRENT OF open_orders")
        db.execute(CREDIT, [team])


class HeldCursors(Cursors):
    """The same WITH HOLD."""

    hold = True


class Sessions(Way):
    """Sets each session up once: its role, its isolation, its statements, prepared by SQL and by the driver."""

    def connect(self) -> Connection:
        """Open a connection that is in no default state."""
        db = super().connect()
        db.prepare_threshold = 0
        db.execute(f"SET ROLE {db.info.user}".encode())
        db.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        db.execute("PREPARE give(int) AS UPDATE teams SET credits = credits + 10 WHERE id = $1")
        return db

    def settle(self, db: Connection, order: int) -> None:
        """Give what was paid for."""
        if db.execute("SHOW transaction_isolation").fetchone() != ("serializable",):
            raise psycopg.OperationalError("the session is not as it was set up")
        (team,) = db.execute(PAY, [order]).fetchone() or (None,)
        db.execute(f"EXECUTE give({team})".encode())


class Savepoints(Way):
    """Goes back to savepoints, which makes psycopg forget all that it has prepared."""

    def connect(self) -> Connection:
        """Open a connection that prepares everything."""
        db = super().connect()
        db.prepare_threshold = 0
        return db

    def settle(self, db: Connection, order: int) -> None:
        """Give what was paid for, after something that is taken back."""
        db.execute("SAVEPOINT paying")
        (team,) = db.execute(PAY, [order]).fetchone() or (None,)
        db.execute("SAVEPOINT trying")
        db.execute(CREDIT, [team])
        db.execute("ROLLBACK TO SAVEPOINT trying")
        db.execute(CREDIT, [team])
        db.execute("RELEASE SAVEPOINT paying")


WAYS: dict[str, Callable[[], Way]] = {
    "fresh": Fresh,
    "autocommit": Autocommit,
    "advisory": Advisory,
    "session advisory": SessionAdvisory,
    "listening thread": Listening,
    "listening worker": lambda: Listening(inside=False),
    "elected": Elected,
    "pipelined": Pipelined,
    "pipelined block": PipelinedBlock,
    "two-phase": TwoPhase,
    "cursors": Cursors,
    "held cursors": HeldCursors,
    "sessions": Sessions,
    "savepoints": Savepoints,
}
