"""Ended subscription that comes back.

What production does
--------------------
A subscription ends, and then something older arrives: a change from the day before that was not taken at once, or the
`checkout.session.completed` of its very beginning, which Stripe sends again for three days.

Why apps break here
-------------------
Each handler writes what it was made for: the checkout's sets `active`, an update's upserts the row. None asks whether
the subscription is over meanwhile.

Wrong
-----
    def on_checkout_completed(session):
        business.subscription_id = session["subscription"]
        business.status = "active"

Right
-----
    def on_checkout_completed(session):
        now = stripe.Subscription.retrieve(session["subscription"])
        business.subscription_id, business.status = now["id"], now["status"]  # canceled, by now
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Guarantee, Tried, Untried
from holdtrue.guarantees.payments.aftermath import Order
from holdtrue.guarantees.payments.lives import ENDED, PAID, subscriptions
from holdtrue.stage import Stage

GRANT = "checkout.session.completed"


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Ended, then told something older = ended.*"""
    heeded = False
    for life in await subscriptions(stage):
        if isinstance(life, Untried):
            yield life
            continue
        if life.heeded(PAID, ENDED):
            heeded = True
            order = Order(older=PAID, newer=ENDED)
            yield life.otherwise(
                order, "ended, then told of an older change", cause=life.cause("changed after its end")
            )
        if life.heeded(0, ENDED) and any(event.type == GRANT for event in life.bought.events):
            heeded = True
            cause = life.cause("granted after its end")
            late = Order(older=0, newer=ENDED, late=GRANT)
            yield life.otherwise(late, "ended, then told of its purchase, late", cause=cause)
            again = Order(older=0, newer=ENDED, late=GRANT, again=True)
            yield life.otherwise(again, "ended, then told of its purchase again", cause=cause)
    if not heeded:
        yield Absent(reason="no subscription is bought here whose end the app takes notice of")


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY016",
    catalogue="P16",
    severity=Severity.HIGH,
    promise="A subscription that has ended stays ended, whatever older event arrives after its end.",
    why="Who has cancelled and pays no more goes on being served, for good: no further event will ever end it.",
    do="Ask the provider for the subscription in every handler, that of the checkout too, and write its answer.",
    do_not="Do not compare the time of subscription events alone: the checkout's event grants, too.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
)
