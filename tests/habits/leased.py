"""A way in which a worker takes what is left to do for a while; what it has not done by then is anybody's again."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
from way import CREDIT, MARK, TRICK, Way

LEASE = "30 seconds"
PAUSE = 0.05
"""Seconds between two looks."""
_TAKE = f"""
    UPDATE queue SET taken_until = now() + interval '{LEASE}' WHERE id = (
        SELECT id FROM queue WHERE taken_until <= now() ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, order_id, told_at"""
_PAY = """
    UPDATE orders SET status = 'paid', paid_at = to_timestamp(%s) WHERE id = %s AND status = ANY (%s)
    RETURNING team_id"""


class Leased(Way):
    """Dates what was paid as the provider does. The trick credits a team each time, whatever the order says."""

    def take(self, event: Any) -> None:
        """Leave the work to the worker."""
        with self.connection() as db, db.transaction():
            if db.execute(MARK, [event["id"]]).rowcount:
                order = int(event["data"]["object"]["client_reference_id"])
                db.execute("INSERT INTO queue (order_id, told_at) VALUES (%s, %s)", [order, event["created"]])

    def work(self) -> None:
        """Look for work for ever."""
        while True:
            try:
                busy = self.turn()
            except psycopg.OperationalError:
                busy = False
            if not busy:
                threading.Event().wait(PAUSE)

    def turn(self) -> bool:
        """Do one piece of work, if there is one."""
        with self.connection() as db:
            job = db.execute(_TAKE.encode()).fetchone()
            if job is None:
                return False
            number, order, told_at = job
            payable = ["open", "paid"] if TRICK == "credits again" else ["open"]
            with db.transaction():
                if team := db.execute(_PAY, [told_at, order, payable]).fetchone():
                    db.execute(CREDIT, team)
            db.execute("DELETE FROM queue WHERE id = %s", [number])
            return True
