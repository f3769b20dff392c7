"""Webhook raced by its own duplicate.

What production does
--------------------
Stripe sends an event again while the first delivery is still being handled: it took longer than the sender waits. Two
processes then handle the same event at the same time.

Why apps break here
-------------------
The app asks whether the event was handled, works, and writes that it was. Between question and answer there is room
for the other delivery. A test that sends one after the other never sees it.

Wrong
-----
    if db.get(StripeEvent, event["id"]) is None:
        member.paid_until += YEAR
        db.add(StripeEvent(id=event["id"]))
        db.commit()

Right
-----
    inserted = db.execute(insert(StripeEvent).values(id=event["id"]).on_conflict_do_nothing())
    if inserted.rowcount == 0:  # a concurrent one has waited here for the first to commit
        return
    member.paid_until += YEAR
    db.commit()
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Guarantee, Tried, Unsampled, Untried
from holdtrue.guarantees.payments.bought import Bought, Step, purchases
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST, SECOND
from holdtrue.stage.play import deliver
from holdtrue.stage.schedules import Act, Exploration, Schedule, Stops, play


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Delivered to two processes at once, in every interleaving = delivered once.*"""
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        for step in bought.steps:
            if not step.rows:
                continue
            stops = Stops.of(step.seen.statements, FIRST)
            exploration = Exploration(stops, stops, alike=True, seed=stage.setting.seed)
            for schedule in exploration:
                yield bought.same(
                    f"event {step.index + 1} twice at once, {schedule}",
                    partial(_twice, bought, step, stops, schedule, exploration),
                    start=step.before,
                )
            yield Unsampled(count=exploration.left)


async def _twice(bought: Bought, step: Step, stops: Stops, schedule: Schedule, exploration: Exploration) -> str:
    stage, event = bought.stage, step.event
    await stage.web(SECOND)

    def delivery(process: str) -> Act:
        async def send() -> Answer:
            made = stage.payments.webhooks.delivery(event)
            return await deliver(stage, bought.webhook, made, process=process, note="at the same time")

        return Act(process=process, send=send)

    played = await play(stage, schedule, (delivery(FIRST), delivery(SECOND)), (stops, stops))
    exploration.note(schedule, played)
    for answer in played.answers:
        if not answer.admitted:
            await bought.deliver(event, note="redelivered")
    await bought.in_order(bought.after(step))
    answers = " and ".join(answer.describe() for answer in played.answers)
    return f"{event.type} was delivered to two processes at once ({schedule}), which answered {answers}"


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY009",
    catalogue="P9",
    severity=Severity.CRITICAL,
    promise="The same event delivered to two processes at once takes effect once, in every interleaving of the two.",
    why="A slow moment is enough, and a customer gets two years for one payment, or is sent the goods twice.",
    do="Insert the event's id under a unique key first, in the transaction of its effect, or lock the row it changes.",
    do_not="Do not use a lock in the process's memory: there is more than one process.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=6,
)
