"""Ways to use a database: each is sound as it stands. The environment's TRICK takes from one what makes it so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from leased import Leased
from told import Elected, Listening
from way import CREDIT, DATABASE, MARK, PAY, TRICK, Connection, Rows, Way


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


class StandingCursor(Way):
    """A cursor WITH HOLD that each session opens once, and rewinds for each who asks."""

    def connect(self) -> Connection:
        """Open a connection, and the cursor."""
        db = super().connect()
        db.execute("DECLARE standing SCROLL CURSOR WITH HOLD FOR SELECT 'a price list'")
        return db

    def many(self, sql: str, *values: object) -> Rows:
        """Look something up in what stands open."""
        with self.connection() as db:
            db.execute("MOVE ABSOLUTE 0 IN standing")
            if db.execute("FETCH NEXT FROM standing").fetchone() != ("a price list",):
                raise psycopg.OperationalError("the cursor is at its end")
            return db.execute(sql.encode(), values).fetchall()


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
    "leased": Leased,
    "pipelined": Pipelined,
    "pipelined block": PipelinedBlock,
    "two-phase": TwoPhase,
    "cursors": Cursors,
    "held cursors": HeldCursors,
    "standing cursor": StandingCursor,
    "sessions": Sessions,
    "savepoints": Savepoints,
}
