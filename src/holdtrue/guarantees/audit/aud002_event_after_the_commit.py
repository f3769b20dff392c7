"""Audit event written after the change is committed.

What production does
--------------------
A process dies or loses its database connection between two commits: a deploy, a failover, a memory limit. It happens
between any two, sooner or later.

Why apps break here
-------------------
The change is saved and committed by one function, the event is written by the next one, or by a background task. When
it ends in between, the change stands and nothing tells of it.

Wrong
-----
    db.commit()
    record(db, actor, "order.cancelled", order.id)
    db.commit()

Right
-----
    record(db, actor, "order.cancelled", order.id)
    db.commit()  # change and event: both or none
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Literal

from holdtrue.contract.words import Severity
from holdtrue.guarantees.audit.trails import Trail, changed, comes_later, count, covered, prepare, trails
from holdtrue.guarantees.audit.transactions import Cut, cuts
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer, in_turn
from holdtrue.stage.database import difference
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed, qualified_all
from holdtrue.stage.wire import Hold

PATIENCE = 10.0
"""Seconds until a write behind the answer is reached; a worker may poll slowly."""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each change that leaves an event: where the wire shows two transactions, the connection is lost between them."""
    history = qualified_all(stage.document.audit.tables if stage.document.audit else ())
    harmed: set[str] = set()
    async for each in trails(stage):
        if isinstance(each, Untried):
            yield each
            continue
        found = cuts(each.statements, covered(stage.document), history)
        if not found:
            yield Case(name=f"{each.name}: commits with its event", play=_together, cause=each.name)
        for cut in found:
            if each.name not in harmed:  # one place between two commits shows as much as the next
                name = f"{each.name}: {cut.name}"
                yield Case(name=name, play=partial(_play, stage, each, cut, harmed), cause=each.name)


async def _together() -> Harm | None:
    """PostgreSQL itself keeps what is written in one transaction together."""
    return None


async def _play(stage: Stage, trail: Trail, cut: Cut, harmed: set[str]) -> Harm | None:
    change = await prepare(stage, trail)
    before, events = await stage.rows(), await count(stage)
    answers = await _cut(stage, trail, cut, change)
    tables = changed(stage.document, difference(before, await stage.rows(), stage.scene.catalog))
    # Where one event never came, the others are given the time of the work behind the answer: a day for each is long.
    if not tables or await comes_later(stage, events + cut.told + 1, patient=not harmed - {trail.name}):
        return None
    harmed.add(trail.name)
    return Harm(
        seen=f"{trail.name} changed {listed(tables)} and committed; then the database connection was lost "
        f"{'right behind' if cut.after else 'before'} `{cut.point.shape[:120]}`. It was answered {in_turn(answers)}; "
        "the event that it leaves otherwise never came, though a day was let pass.",
        where=trail.where,
        clause=("audit", "tables"),
    )


async def _cut(
    stage: Stage, trail: Trail, cut: Cut, change: Callable[[], Coroutine[None, None, list[Answer]]]
) -> list[Answer]:
    """Make the change and lose the connection at that place; return the answers.

    Raises:
        StepFailedError: the app did not come by that place again.
    """
    when: Literal["before", "after"] = "after" if cut.after else "before"
    with ExitStack() as armed:
        anchor = armed.enter_context(stage.wire.hold(cut.anchor)) if cut.anchor is not None else None
        arm = armed.enter_context(stage.wire.cut(cut.point, when=when)) if anchor is None else None
        changing = asyncio.create_task(change())
        if anchor is not None and await _reached(stage, anchor, changing):
            arm = armed.enter_context(stage.wire.cut(cut.point, when=when))
            anchor.release()
        answers = await changing
        if arm is not None and not arm.fired.is_set():
            await stage.rest()  # it is reached behind the answer
        if arm is None or not arm.fired.is_set():
            raise StepFailedError("it did not come by that place again, so nothing was cut", where=trail.name)
        await arm.settled.wait()
    return answers


async def _reached(stage: Stage, hold: Hold, changing: asyncio.Task[list[Answer]]) -> bool:
    """Wait until the change's last write is held, during the request or behind its answer."""
    reached = asyncio.create_task(hold.reached())
    try:
        await asyncio.wait({reached, changing}, return_when=asyncio.FIRST_COMPLETED)
        if not reached.done():
            stage.quiet.unpark()
            await asyncio.wait({reached}, timeout=PATIENCE)
    finally:
        reached.cancel()
    return hold.is_reached


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUD002",
    catalogue="M2",
    severity=Severity.MEDIUM,
    promise="A change and its audit event commit together, wherever a process dies.",
    why="Each crash and each deploy leaves changes that nobody made; those are the moments that are asked about.",
    do="Write the event in the transaction of the change, or a row of an outbox from which it is made.",
    do_not="Do not write the event first, in a transaction of its own: then it tells of changes that never happened.",
    subjects=lambda document: sorted(covered(document)),
    rehearse=rehearse,
    weight=3,
)
