"""Migration whose way down does not undo it.

What production does
--------------------
A release goes wrong, and somebody runs the way down, at night, for the first time.

Why apps break here
-------------------
`downgrade` is `pass`, or was written once and never run: it forgets a function, an enum type, an index, a grant. The
schema is then one that no revision describes, and the next way up fails on what is already there.

Wrong
-----
    def downgrade() -> None:
        pass

Right
-----
    def downgrade() -> None:
        op.drop_table("refunds")
        op.execute("DROP TYPE refund_state")

A revision that truly cannot be undone says so: it raises, and is declared with its reason under
`[migrations.irreversible]`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.database import DatabaseError
from holdtrue.stage.migrations import Mover, mover
from holdtrue.stage.steps import StepFailedError


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each way down: up, then down; the schema must be what it was before."""
    told = stage.document.migrations
    if told is None:
        return
    moving = mover(stage.setting, told)
    stage.at_close(moving.close)  # a case may be played again after the last one
    ways = await moving.ways()  # starts the tool meanwhile; two migrations at a time would meet at the server's roles
    await stage.setting.migrated.wait()
    for way in ways:
        yield Case(name=f"down from {way}", play=partial(_play, stage, moving, way), cause=way)


async def _play(stage: Stage, moving: Mover, way: str) -> Harm | None:
    try:
        left = await moving.left_by(way)
    except (DatabaseError, StepFailedError):
        raise  # of the scratch server, such as a full disk, or of a tool that cannot be stepped: no way down did it
    except HoldtrueError as error:
        stage.player.evidence.add("migration", way=way, error=str(error))
        return Harm(seen=f"The way down from {way} fails: {error}", where=f"revision {way}", clause=("migrations",))
    stage.player.evidence.add("migration", way=way, left=left)
    if not left:
        return None
    return Harm(
        seen=f"{way} went up and down again; the schema is not what it was: {'; '.join(left[:4])}.",
        where=f"revision {way}",
        clause=("migrations",),
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="REL032",
    catalogue="M32",
    severity=Severity.MEDIUM,
    promise="Each migration's way down restores the schema that its way up found.",
    why="A roll-back at night ends in a schema that nobody knows, and the next deploy fails on it.",
    do="Write the way down for everything the way up creates, and run both before you merge.",
    do_not="Do not declare the revision irreversible to silence this, unless data would be lost by going down.",
    subjects=lambda document: ["migrations"] if document.migrations else [],
    rehearse=rehearse,
    staged=False,
)
