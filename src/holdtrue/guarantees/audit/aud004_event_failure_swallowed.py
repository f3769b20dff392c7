"""Change that goes on although its audit event failed.

What production does
--------------------
The event cannot be written: the disk under the audit table is full, its newest partition is missing, a migration took
a right away. Requests go on coming, for hours.

Why apps break here
-------------------
"Audit must never break the request": the write is wrapped in a try that logs and goes on, often in a savepoint or a
session of its own. As long as that lasts, everybody changes everything without a trace.

Wrong
-----
    try:
        with db.begin_nested():
            db.add(AuditEvent(...))
    except SQLAlchemyError:
        log.exception("audit failed")

Right
-----
    db.add(AuditEvent(...))  # in the transaction of the change; when it fails, nothing happened
    db.commit()
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.audit.trails import (
    Trail,
    changed,
    comes_later,
    count,
    covered,
    prepare,
    trails,
)
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.client import in_turn
from holdtrue.stage.database import difference
from holdtrue.stage.database.failing import DISK_FULL
from holdtrue.stage.play import call, make_ready, sender_of
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed, qualified_all


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each change that leaves an event, while the database takes no event: it must be refused, and change nothing.

    What needs no preparation is first tried on one clone: where nothing changed by all together, nothing did by any.
    """
    found: list[Trail] = []
    async for each in trails(stage):
        if isinstance(each, Untried):
            yield each
        else:
            found.append(each)
    try:
        refused = await _together(stage, found)
    except StepFailedError:
        refused = set()  # somebody was not answered: each is tried alone, and it is told who
    harmed: set[str] = set()
    for trail in found:
        yield Case(name=trail.name, play=partial(_play, stage, trail, refused, harmed), cause="swallowed")


async def _together(stage: Stage, found: list[Trail]) -> set[str]:
    """The changes that came as far as their event, and left nothing changed when it was refused."""
    await stage.fresh()
    before, refused = await stage.rows(), set()
    async with _no_event_is_taken(stage):
        for trail in found:
            route = stage.document.routes[trail.where]
            if trail.late or route.before or route.after:
                continue
            ready = await make_ready(stage, trail.where)
            with stage.wire.record() as recording:
                await call(stage, ready, sender=sender_of(stage, ready))
            if any(statement.sqlstate == DISK_FULL for statement in recording.statements):
                refused.add(trail.name)
        tables = changed(stage.document, difference(before, await stage.rows(), stage.scene.catalog))
    return set() if tables else refused


async def _play(stage: Stage, trail: Trail, refused: set[str], harmed: set[str]) -> Harm | None:
    if trail.name in refused:
        refused.remove(trail.name)  # what was seen counts once; when it is played again, it is tried alone
        return None
    change = await prepare(stage, trail)
    before, events = await stage.rows(), await count(stage)
    async with _no_event_is_taken(stage):
        answers = await change()
        if not answers[-1].succeeded:
            return None
        if trail.late:
            await stage.rest()
        tables = changed(stage.document, difference(before, await stage.rows(), stage.scene.catalog))
    # Where one event never came, the others are given the time of the work behind the answer: a day for each is long.
    if not tables or await comes_later(stage, events + 1, patient=not harmed - {trail.name}):
        return None
    harmed.add(trail.name)
    audit = ", ".join(stage.document.audit.tables) if stage.document.audit else ""
    return Harm(
        seen=f"While the database took no new row in {audit} (disk full), {trail.name} was answered {in_turn(answers)} "
        f"and changed {listed(tables)}. The event that it leaves otherwise never came, though a day was let pass.",
        where=trail.where,
        clause=("audit", "tables"),
    )


def _no_event_is_taken(stage: Stage) -> AbstractAsyncContextManager[None]:
    return stage.refusing(qualified_all(stage.document.audit.tables if stage.document.audit else ()), ["INSERT"])


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUD004",
    catalogue="M4",
    severity=Severity.MEDIUM,
    promise="A change whose audit event cannot be written does not happen, and its request does not succeed.",
    why="For as long as the audit table has a problem, nobody can say who did what; and no alarm rings, for all works.",
    do="Write the event in the transaction of the change, and let its failure fail the request.",
    do_not="Do not log the failure and go on: a log line is no history, and nobody reads it.",
    subjects=lambda document: sorted(covered(document)),
    rehearse=rehearse,
    weight=4,
)
