"""Ways in which the work behind a webhook is done by somebody who waits to be told of it."""

from __future__ import annotations

import json
import threading

import psycopg
from way import DATABASE, MARK, TRICK, Way

BACKOFF = 1.0
"""Seconds until a listener that lost its connection, or could not do its work, begins anew."""


class Listening(Way):
    """A listener, whose connection stays open, does the work as soon as it is told.

    One trick tells it all in words, the other gives up with the first lost connection.
    """

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
                if TRICK == "gives up":
                    return
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
