"""Order decided by a clock of whole seconds.

What production does
--------------------
The provider's `created` has whole seconds. A subscription that is changed and ended by one click, or paid and renewed
by one job, makes two events of the same second, which come in either order.

Why apps break here
-------------------
The handler compares `created` with that of the last event it applied. That is right for hours, and tells nothing within
one second: with `<` whatever comes last wins, with `<=` whatever comes first.

Wrong
-----
    if event["created"] < subscription.event_at:
        return
    subscription.status = event["data"]["object"]["status"]

Right
-----
    now = stripe.Subscription.retrieve(event["data"]["object"]["id"])  # an event only says which one to look at
    subscription.status = now["status"]
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Guarantee, Tried, Untried
from holdtrue.guarantees.payments.aftermath import Order
from holdtrue.guarantees.payments.lives import (
    ENDED,
    PAID,
    PENDING,
    SETTLED,
    UNPAID,
    heeding,
    slow_refunds,
    subscriptions,
)
from holdtrue.stage import Stage

ORDERS = (
    (subscriptions, Order(older=PAID, newer=ENDED, one_second=True), "a change and the end"),
    (subscriptions, Order(older=UNPAID, newer=PAID, one_second=True), "two changes"),
    (slow_refunds, Order(older=PENDING, newer=SETTLED, one_second=True), "its beginning and its success"),
)


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*In one second and in either order = seconds apart and in order.*"""
    async for each in heeding(stage, ORDERS):
        if isinstance(each, Untried | Absent):
            yield each
            continue
        life, order, name = each
        cause = life.cause("in one second")
        # What is forgotten seconds apart, too, has nothing to do with the clock.
        apart = replace(order, one_second=False)
        yield life.otherwise(order, f"{name} in one second, the later first", cause=cause, unless=apart)
        yield life.otherwise(replace(order, swapped=False), f"{name} in one second, in order", cause=cause)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY015",
    catalogue="P15",
    severity=Severity.MEDIUM,
    promise="Two events of one object from the same second leave what the later one told, whichever comes first.",
    why="A subscription that was ended stays open, or one that was paid stays closed, by a coin's toss.",
    do="Ask the provider for the object whatever the event says, and write its answer.",
    do_not="Do not turn `<` into `<=`: then the other order is wrong.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=2,
)
