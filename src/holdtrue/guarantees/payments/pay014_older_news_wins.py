"""Older news overwrites newer.

What production does
--------------------
The provider does not keep the order of its events: one that failed and is sent again comes hours after what happened
since. Every event has a snapshot of its object as it was when that event was made.

Why apps break here
-------------------
The handler copies the snapshot into the row, whatever stands there. In a test events come in the order in which they
are sent.

Wrong
-----
    subscription.status = event["data"]["object"]["status"]

Right
-----
    now = stripe.Subscription.retrieve(event["data"]["object"]["id"])  # an event only says which one to look at
    subscription.status = now["status"]

Or keep the event's `created` with the row, and let an older event change nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Guarantee, Tried, Untried
from holdtrue.guarantees.payments.aftermath import Order
from holdtrue.guarantees.payments.lives import (
    FIRST_REFUND,
    PAID,
    PENDING,
    SECOND_REFUND,
    SETTLED,
    UNPAID,
    heeding,
    refunded_charges,
    slow_refunds,
    subscriptions,
)
from holdtrue.stage import Stage

ORDERS = (
    (subscriptions, Order(older=0, newer=UNPAID), "told that it was made after told that a payment failed"),
    (subscriptions, Order(older=UNPAID, newer=PAID), "told that a payment failed after told that it was made good"),
    (refunded_charges, Order(older=FIRST_REFUND, newer=SECOND_REFUND), "told of the first refund after the second"),
    (slow_refunds, Order(older=PENDING, newer=SETTLED), "told that it is pending after told that it succeeded"),
)


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Older news that comes late = in time.*"""
    async for each in heeding(stage, ORDERS):
        if isinstance(each, Untried | Absent):
            yield each
        else:
            life, order, name = each
            yield life.otherwise(order, name, cause=life.cause("forgets"))


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY014",
    catalogue="P14",
    severity=Severity.HIGH,
    promise="An event that comes later than newer ones of the same object does not undo what those told.",
    why="A customer who has paid is shut out, or a refund is forgotten, because one message was slow.",
    do="Ask the provider for the object and write its answer, or let only a newer event change the row.",
    do_not="Do not count on the order of arrival, nor answer with an error until the order is right.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=2,
)
