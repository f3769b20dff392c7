"""Failure that is answered with 200.

What production does
--------------------
The database refuses a write while a webhook is handled: its disk is full, a lock is not given in time, a replica takes
over. It lasts for a minute. Stripe would send the event again, for three days, if only it were told.

Why apps break here
-------------------
The handler catches everything, logs it and answers 200, because errors in the dashboard look bad, or because an
earlier bug made Stripe send the same event again and again.

Wrong
-----
    try:
        handle(event)
    except Exception:
        log.exception("webhook failed")
    return {"received": True}

Right
-----
    handle(event)  # what fails answers 500, and Stripe tries again
    return {"received": True}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Untried
from holdtrue.guarantees.effects import business_tables
from holdtrue.guarantees.payments.bought import Bought, Step, purchases
from holdtrue.stage import Stage
from holdtrue.stage.client import in_turn
from holdtrue.stage.tables import listed


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """*Refused by the database once, and redelivered = delivered once*, for each table that an event writes.

    A refused delivery that left nothing is followed by a first one: that is played on for one table (ADR 17).
    """
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        for step in bought.steps:
            # That an event of the history cannot be written is a promise of its own.
            for number, table in enumerate(sorted(business_tables(step.rows, stage.document))):
                yield bought.same(
                    f"event {step.index + 1} while {listed([table])} cannot be written",
                    partial(_refused, bought, step, table, plays_on=number == 0),
                    start=step.before,
                )


async def _refused(bought: Bought, step: Step, table: str, *, plays_on: bool) -> str:
    stage = bought.stage
    async with stage.refusing([table], ["INSERT", "UPDATE", "DELETE"]):
        answers = [await bought.deliver_once(step.event, note=f"{listed([table])} cannot be written")]
        await stage.rest()
    if not answers[-1].admitted:
        if not plays_on and await stage.is_untouched():
            return ""
        answers += await bought.deliver(step.event, note="redelivered, the database is well again")
    await bought.in_order(bought.after(step))
    return (
        f"While the database refused writes to {listed([table])}, {step.event.type} was answered {in_turn(answers)}; "
        "then the database was well again"
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY007",
    catalogue="P7",
    severity=Severity.HIGH,
    promise="An event that could not be handled is not lost: it is not answered 2xx, or the app comes back to it.",
    why="A minute's trouble with the database swallows payments for good; the customer finds out, not you.",
    do="Let errors out of the handler, so that the answer is 500 and the provider sends the event again.",
    do_not="Do not answer 200 and write to the log: nobody redelivers from a log.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=3,
)
