"""Webhook applied twice or never after a crash.

What production does
--------------------
A process dies in the middle of a webhook: a deploy, a lost database connection, a memory limit. The provider saw no 2xx
and sends the event again, perhaps to another process. It happens at every statement, sooner or later.

Why apps break here
-------------------
The event's id is recorded and committed before the work: the crash comes between, and the redelivery is taken for a
duplicate. Or the work is committed in pieces: a redelivery does the first pieces twice. Or the failure is caught and
answered with 200, so that nothing is ever sent again.

Wrong
-----
    db.add(ProcessedEvent(id=event["id"]))
    db.commit()
    fulfil(event)
    db.commit()

Right
-----
    db.execute(insert(ProcessedEvent).values(id=event["id"]).on_conflict_do_nothing())
    fulfil(event, db)
    db.commit()  # the mark, the effect, its audit event and the receipt's outbox row: all or nothing
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.payments.bought import LEASE, Bought, Step, purchases
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer, in_turn
from holdtrue.stage.crew import FIRST, SECOND, WORKER
from holdtrue.stage.play import deliver
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.wire import Held, Point, Statement, passed

PATIENCE = 10.0
"""Seconds until a point is reached; a worker may poll slowly."""
_WHEN: Mapping[str, Literal["before", "after"]] = {"cut before": "before", "cut after": "after"}


@dataclass(frozen=True, kw_only=True)
class Crash:
    """Where and how it crashes while one event of a purchase is processed."""

    bought: Bought
    step: Step
    point: Point
    statement: Statement
    how: str
    """``cut before``, ``cut after``: the database connection; ``kill before``: the process."""
    plays_on: bool
    """Whether the event is redelivered even where the crash has left nothing behind."""

    @property
    def name(self) -> str:
        """Stable over runs: the statement's shape, not a bare count."""
        shape = " ".join(self.statement.shape.split())
        words = shape if len(shape) <= 60 else f"{shape[:57]}..."
        again = f" #{self.point.ordinal + 1}" if self.point.ordinal else ""
        where = f"{self.how} {self.point.process} `{words}`{again}"
        return f"{self.bought.name} event {self.step.index + 1}: {where}"


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Crash at every statement of every event's processing, redeliver, and compare with an undisturbed delivery.

    What a crash has left behind decides what comes of a redelivery, and behind a refused delivery that left nothing it
    is a first one; so of the crashes within one transaction that leave nothing, one is played on (ADR 17).
    """
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        crashes = [crash for step in bought.steps for crash in _crashes(bought, step)]
        if not crashes:
            yield Untried(subject=bought.name, reason="none of its events changed anything")
        for crash in crashes:
            yield Case(name=crash.name, play=partial(_play, stage, crash), cause=bought.name)
        if crashes and bought.woken:
            await stage.restart()  # what a crash has done to a listener is no matter of the next proof


def _crashes(bought: Bought, step: Step) -> list[Crash]:
    """Every point of an event: the connection is cut at each; the process is killed once in each transaction.

    What is not committed dies with its connection: a kill shows no more than a cut, but that no code runs behind it.
    Before COMMIT is where most is at stake, or before what commits by itself.
    """
    if not step.rows:
        return []
    said = step.seen.statements
    last, commits = _last_of_transactions(said), _committing_units(said)
    ends = {(each.connection, each.transaction): each.seq for each in said if each.is_point}.values()
    return [
        Crash(
            bought=bought,
            step=step,
            point=point,
            statement=statement,
            how=how,
            plays_on=how != "cut before" or statement.seq in ends,
        )
        for point, (statement, *_) in passed(said)
        for how in _ways(point, statement, step.seen.mailed, last, commits=statement.unit in commits)
    ]


def _last_of_transactions(statements: list[Statement]) -> frozenset[int]:
    """``seq`` of the last point of each transaction of the worker that writes.

    Not its COMMIT: an idle worker commits, too, so which one it is cannot be counted.
    """
    last: dict[tuple[int, int], int] = {}
    for each in statements:
        if each.process == WORKER and each.is_point and (each.kind != "commit" or each.writes):
            last[each.connection, each.transaction] = each.seq
    writing = {(each.connection, each.transaction) for each in statements if each.writes}
    return frozenset(seq for transaction, seq in last.items() if transaction in writing)


def _committing_units(statements: list[Statement]) -> frozenset[int]:
    """What is sent in one piece and commits: with a COMMIT in it, or because nobody began a transaction."""
    units = defaultdict(set)
    for each in statements:
        units[each.transaction].add(each.unit)
    alone = (each.unit for each in statements if each.writes and len(units[each.transaction]) == 1)
    return frozenset([*alone, *(each.unit for each in statements if each.kind == "commit")])


def _ways(
    point: Point, statement: Statement, mailed: float | None, last: frozenset[int], *, commits: bool
) -> list[str]:
    if point.process == WORKER:
        if mailed is not None and statement.at > mailed:
            return []  # whether a mail that was accepted is told to have been sent is another promise
        return ["kill before"] if statement.seq in last else []
    return ["cut before", "cut after", "kill before"] if commits else ["cut before"]


async def _play(stage: Stage, crash: Crash) -> Harm | None:
    bought, event = crash.bought, crash.step.event
    if _is_behind(crash):
        # What is done behind an answer is done by whoever is quicker, and by nobody whom an earlier crash has ended.
        await stage.kill(FIRST, SECOND)
        await stage.web(FIRST)
    elif _kills(crash, FIRST):
        await stage.web(SECOND)
    await bought.begin(crash.step.before, anew=crash.plays_on)
    answered = await _crash(stage, crash)
    if not answered:
        return None
    await bought.in_order(bought.after(crash.step))
    worker_died = _kills(crash, WORKER)
    differences = await (bought.settled_after_a_lease(crash.step) if worker_died else bought.settled(_crash))
    told = f"{crash.how} {crash.point.process}'s `{crash.statement.sql[:160]}` while {event.type} was processed"
    return bought.harm(f"{told}: {answered}", differences) if differences else None


async def _crash(stage: Stage, crash: Crash) -> str:
    """Deliver, crash, and redeliver as long as the provider sees no 2xx; say how it went, if it is worth going on."""
    bought, event = crash.bought, crash.step.event
    if crash.how == "kill before":
        answers = [await _kill(stage, crash)]
    else:
        with stage.wire.cut(crash.point, when=_WHEN[crash.how]) as arm:
            answers = [await bought.deliver_once(event, note=f"{crash.how} `{crash.point.shape}`")]
            if not arm.fired.is_set():
                await stage.rest()  # some statements follow the answer, such as a session's last ROLLBACK
            if bought.woken:  # an earlier crash may have made it sit out a timer
                with suppress(TimeoutError):
                    await asyncio.wait_for(arm.fired.wait(), PATIENCE)
        if not arm.fired.is_set():
            raise _not_reached(crash)
    if not answers[-1].admitted:
        if not crash.plays_on and await stage.is_untouched():
            return ""
        answers += await bought.deliver(event, note="redelivered")
    return f"answered {in_turn(answers)}"


async def _kill(stage: Stage, crash: Crash) -> Answer:
    """Hold the process before the point and SIGKILL it there."""
    victim = crash.point.process
    with stage.wire.hold(crash.point) as hold:
        delivery = stage.payments.webhooks.delivery(crash.step.event)
        delivered = asyncio.create_task(deliver(stage, crash.bought.webhook, delivery, note=f"{victim} is killed"))
        reached = asyncio.create_task(hold.reached())
        if victim == WORKER:
            await delivered
            stage.quiet.unpark()
        waits = {reached} if victim == WORKER else {reached, delivered}
        try:
            await asyncio.wait(waits, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if victim == FIRST and not hold.is_reached:
                await _rest_or(stage, reached)  # what a web process does behind its answer
                if crash.bought.woken:
                    await asyncio.wait({reached}, timeout=PATIENCE)
            answered = delivered.done()
        finally:
            reached.cancel()
        if not hold.is_reached:
            raise _not_reached(crash)
        if _is_behind(crash):
            await stage.web(SECOND)
        await stage.kill(victim)
    if _kills(crash, FIRST):
        await stage.promote(SECOND)  # the provider redelivers to the process that is left
        if answered:
            await stage.web(
                SECOND
            )  # nobody redelivers: its supervisor starts another one, which looks for what is left
    else:
        # Its supervisor starts it again when its lease has run out: a timer of the new one would not age with the rows.
        await stage.age(LEASE)
        stage.crew.begin(victim)
    return await delivered


def _is_behind(crash: Crash) -> bool:
    """Whether a web process comes by the point behind its answer, where it has work to do."""
    works = any(each.process == FIRST for each in crash.step.behind)
    return works and crash.point.process == FIRST and crash.statement.at > crash.step.answered


async def _rest_or(stage: Stage, reached: asyncio.Task[Held]) -> None:
    rested = asyncio.create_task(stage.rest())
    try:
        await asyncio.wait({reached, rested}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        rested.cancel()
        await asyncio.gather(rested, return_exceptions=True)


def _not_reached(crash: Crash) -> StepFailedError:
    """A crash that did not happen proves nothing: it must not count as survived."""
    return StepFailedError("the processing did not come by that point again, so no crash was tried", where=crash.name)


def _kills(crash: Crash, process: str) -> bool:
    return crash.how == "kill before" and crash.point.process == process


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY011",
    catalogue="P11",
    severity=Severity.CRITICAL,
    promise="An event that is delivered until its 2xx takes effect exactly once, wherever a process dies.",
    why="Customers pay and get nothing, or get twice what they paid for; both are found by the customer.",
    do="Write the event's id, its effect and whatever follows in one transaction, and answer 2xx after its commit.",
    do_not="Do not answer 200 to make the provider stop: the redelivery is what saves the payment.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=20,
)
