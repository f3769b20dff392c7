"""Advisory locks that sessions hold beyond their transactions: a swap takes them along.

Who has one may be the only one of its kind, as long as the session lives: a leader, a scheduler. With the lock lost and
the session alive there would be two. PostgreSQL is asked who holds what, as a lock that was tried for may not have been
given. How often the same session has taken one is not told, so that the first unlock frees it.
Source: https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdtrue.stage.wire import protocol as p

if TYPE_CHECKING:
    from holdtrue.stage.wire.hub import Hub

TAKES = re.compile(rb"(?i)\bpg_(?:try_)?advisory_lock(?:_shared)?\b")
"""What takes a lock for the session."""

_HELD = """
SELECT pid, CASE mode WHEN 'ShareLock' THEN 'pg_try_advisory_lock_shared' ELSE 'pg_try_advisory_lock' END,
       CASE objsubid WHEN 1 THEN ARRAY[(classid::bigint << 32) | objid::bigint]
                     ELSE ARRAY[classid::bigint::bit(32)::int, objid::bigint::bit(32)::int]::bigint[] END
FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = ANY(%s)
"""


async def note_locks(hub: Hub) -> None:
    """Keep with each session that may hold such locks what takes them again.

    Asked in a database that one of them uses still: that which comes next may be a template, which lets nobody in.

    Raises:
        psycopg.Error: the server does not answer.
    """
    asked = {s.backend: (s, s.link) for s in hub.sessions if s.exchange.state.may_hold_locks and s.link is not None}
    if not asked:
        return
    session, link = next(iter(asked.values()))
    async with await hub.upstream.ask(database=link.database, role=session.role) as connection:
        rows = await (await connection.execute(_HELD, [list(asked)])).fetchall()
    for session, _ in asked.values():
        session.exchange.state.locks = ()
    for backend, function, key in rows:
        again = p.query_message(f"SELECT pg_catalog.{function}({', '.join(map(str, key))})".encode())
        asked[backend][0].exchange.state.locks += (again,)
