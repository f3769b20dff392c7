"""What somebody tries against the history as the app's own database role. It is always rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

import psycopg

from holdtrue.guarantees.base import Case, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed, qualified

Attempt = Callable[[psycopg.AsyncConnection, Stage, str], Awaitable[int]]
"""Does something to a table in an open transaction, and returns how many rows it reached; raises psycopg.Error."""


async def cases(stage: Stage, attempts: Mapping[str, Attempt]) -> AsyncIterator[Case | Untried]:
    """Each attempt on each audit table and each of its partitions."""
    if stage.document.audit is None:
        return
    await stage.fresh()
    for name in stage.document.audit.tables:
        table = qualified(name)
        if table not in stage.scene.catalog.tables:
            yield Untried(subject=name, reason="the migrated database has no such table")
            continue
        if not stage.scene.rows[table]:
            yield Untried(subject=name, reason="nothing in the scene wrote an event, so nothing can be rewritten")
            continue
        for part in (table, *_partitions(stage, table)):
            for words, attempt in attempts.items():
                yield Case(
                    name=f"{words} {listed([part])}", play=partial(_play, stage, part, words, attempt), cause=table
                )


def _partitions(stage: Stage, table: str) -> list[str]:
    """The partitions below a table: rights on them are rights of their own."""
    below = [each.full_name for each in stage.scene.catalog if each.partition and each.parent == table]
    return [name for child in below for name in (child, *_partitions(stage, child))]


async def _play(stage: Stage, table: str, words: str, attempt: Attempt) -> Harm | None:
    await stage.fresh()
    role = stage.setting.runtime
    connection = await stage.setting.cluster.connect(stage.database, user=role)
    async with connection:
        await connection.set_autocommit(False)
        try:
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            rows = await attempt(connection, stage, table)
        except psycopg.OperationalError as error:
            raise StepFailedError(f"{words} could not be tried: {error}", where=listed([table])) from error
        except psycopg.Error as error:
            stage.player.evidence.add("refused", role=role, attempt=f"{words} {table}", error=str(error))
            return None
        finally:
            await connection.rollback()
    stage.player.evidence.add("attempt", role=role, attempt=f"{words} {table}", rows=rows, rolled_back=True)
    if not rows:
        return None
    return Harm(
        seen=f"As the app's own database role {role!r}, {words} on {listed([table])} succeeded (rows: {rows}).",
        where=listed([table]),
        clause=("audit", "tables"),
    )
