"""Identifiers of prepared transactions count for the whole server; the stages of a check share one.

In production no other database has the app's identifiers. So PREPARE TRANSACTION waits here while a rehearsal of the
same purchase on another stage uses the same one, as after a slow statement.
Source: https://www.postgresql.org/docs/current/sql-prepare-transaction.html
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from holdtrue.stage.wire.link import Upstream

LOOK = 0.02
"""Seconds between two looks."""
PATIENCE = 60.0
"""Seconds after which the server is to answer that it is taken."""
_PREPARES = re.compile(rb"(?is)(?>\s|/\*.*?\*/|--[^\n]*\n)*+PREPARE\s+TRANSACTION\s+'((?:[^']|'')*)'")
_TAKEN = "SELECT FROM pg_prepared_xacts WHERE gid = %s AND database <> current_database()"


def identifier_of(sqls: Iterable[bytes]) -> str | None:
    """The identifier under which a transaction is prepared; None for any other statement."""
    for sql in sqls:
        if (found := _PREPARES.match(sql)) is not None:
            return found[1].replace(b"''", b"'").decode("utf-8", "replace")
    return None


class Identifiers:
    """Whose turn it is to prepare under an identifier; one for all wires that lead to the same server."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.used = False
        """Whether anything was ever prepared."""

    @asynccontextmanager
    async def turn(self, identifier: str, upstream: Upstream, *, database: str, role: str) -> AsyncIterator[None]:
        """Begins when nothing is prepared under it in any other database, or when patience ends.

        End it when the server has answered: from then on it is found there.

        Raises:
            psycopg.Error: the server does not answer.
        """
        self.used = True
        turn = self._turns.setdefault(identifier, asyncio.Lock())
        async with turn:
            await _until_free(identifier, upstream, database=database, role=role)
            yield


async def _until_free(identifier: str, upstream: Upstream, *, database: str, role: str) -> None:
    clock = asyncio.get_running_loop().time
    end = clock() + PATIENCE
    async with await upstream.ask(database=database, role=role) as connection:
        while (await connection.execute(_TAKEN, [identifier])).rowcount and clock() < end:
            await connection.execute("SELECT pg_sleep(%s)", [LOOK])
