"""Required column that no row can have.

What production does
--------------------
The deploy runs the new migration on a database that is in use: the tables have rows.

Why apps break here
-------------------
A field is added to a model as required, and the migration is generated from it: a column that must not be null, and no
word of what the rows that are there shall have in it. On an empty database, on a laptop or in the tests, it works each
time. PostgreSQL refuses it on the first table that has a row.

Wrong
-----
    op.add_column("orders", sa.Column("channel", sa.Text(), nullable=False))

Right
-----
    op.add_column("orders", sa.Column("channel", sa.Text(), nullable=False, server_default="web"))

Or in three steps: add the column so that it may be null, fill it, then forbid null.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Untried
from holdtrue.stage import Stage
from holdtrue.stage.climb import Climb, Refusal
from holdtrue.stage.migrations import mover


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """Each way up but the first, on tables that have rows."""
    told, setting = stage.document.migrations, stage.setting
    if told is None:
        return
    await setting.scene_is_set.wait()
    stage.at_close(mover(setting, told).close)
    climb = Climb(setting=setting, told=told, scene=stage.scene)
    stage.at_close(climb.leave)
    order = await climb.order()
    if not order:
        yield Untried(subject="migrations", reason="the newest one has no way down, so nothing could be taken again")
    if len(order) == 1:
        yield Absent(reason="it has one migration, which finds no rows")
    for revision in order[1:]:
        yield Case(name=f"up to {revision}, on rows", play=partial(_play, stage, climb, revision), cause=revision)


async def _play(stage: Stage, climb: Climb, revision: str) -> Harm | None:
    refusal = await climb.onto(revision, make=True)
    if refusal is not None and refusal.required is None:
        # What was made up may be what it cannot work with: once more, with the app's own rows alone.
        refusal = await climb.onto(revision, make=False)
    if refusal is None:
        return None
    stage.player.evidence.add(
        "migration",
        revision=revision,
        error=str(refusal.error),
        statements=[f"{each.sql} → {each.sqlstate or each.tag}" for each in refusal.statements],
        made_up=sorted(refusal.filled.made),
    )
    if refusal.required is None and (refusal.refused is None or refusal.filled.skipped):
        return None  # rows of its time might have let it through; no required column is to blame
    return Harm(seen=_seen(revision, refusal), where=f"revision {revision}", clause=("migrations",))


def _seen(revision: str, refusal: Refusal) -> str:
    told = refusal.refused.message if refusal.refused is not None else str(refusal.error)
    on = f"a table `{refusal.required[0]}` that has a row" if refusal.required else "the rows that the app had made"
    return f"{revision} works on empty tables. On {on} it fails: {told}. The deploy ends there."


GUARANTEE = Guarantee(
    doc=__doc__,
    code="REL036",
    catalogue="M36",
    severity=Severity.HIGH,
    promise="Each migration goes through on tables that have rows.",
    why="The deploy fails in production alone, where there are rows, often with half of the release already out.",
    do="Give the column a server default, or let it be null, fill it, and forbid null afterwards.",
    do_not="Do not empty the table in the migration, and do not let the column be null for good to make it pass.",
    subjects=lambda document: ["migrations"] if document.migrations else [],
    rehearse=rehearse,
    staged=False,
)
