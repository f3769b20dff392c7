"""Webhook remembered in memory only.

What production does
--------------------
Stripe delivers an event more than once: after a timeout, after a deploy, sometimes for no reason that anybody can see.
The second delivery meets another process, or the same one after a restart.

Why apps break here
-------------------
The ids of events that were handled are kept in a set, a dictionary or a cache of the process. On the developer's
machine there is one process, and it is never restarted between two deliveries.

Wrong
-----
    seen: set[str] = set()

    if event["id"] in seen:
        return {"ok": True}
    seen.add(event["id"])

Right
-----
    inserted = db.execute(insert(StripeEvent).values(id=event["id"]).on_conflict_do_nothing())
    if inserted.rowcount == 0:
        return {"ok": True}
    fulfil(event, db)
    db.commit()
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Untried
from holdtrue.guarantees.payments.bought import Bought, purchases
from holdtrue.stage import Stage
from holdtrue.stage.crew import SECOND


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """*Delivered to one process, then to another that was not there before = delivered once.*"""
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
        else:
            yield bought.same("delivered again, to a process that has just started", partial(_again, bought))


async def _again(bought: Bought) -> str:
    await bought.in_order()
    await bought.stage.rest()
    await bought.stage.kill(SECOND)
    answers = [
        (await bought.deliver(event, process=SECOND, note="delivered again"))[-1].describe() for event in bought.events
    ]
    return (
        f"{bought.types} was delivered, and again to a process that was started meanwhile, which answered "
        f"{', '.join(answers)}"
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY010",
    catalogue="P10",
    severity=Severity.HIGH,
    promise="An event that comes again takes no effect again, whichever process it meets, and after a restart.",
    why="With every deploy and every second server, customers get twice what they paid for, or two receipts.",
    do="Keep the event's id in a table with a unique key, written in the transaction of its effect.",
    do_not="Do not route all webhooks to one process instead: it restarts, too.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
)
