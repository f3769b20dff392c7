"""Lost event that nobody misses.

What production does
--------------------
An event never arrives: the endpoint was down for longer than Stripe goes on trying, a firewall swallowed it, somebody
switched the endpoint off for a day. The customer has paid, and Stripe says so to whoever asks.

Why apps break here
-------------------
The webhook is the only writer. Nothing in the app ever asks Stripe what became of a checkout that was begun and never
heard of again; at best a job throws it away.

Wrong
-----
    # nightly
    db.query(Order).filter(Order.status == "pending", Order.created_at < day_ago).update({"status": "expired"})

Right
-----
    # every few minutes
    for order in pending_for_longer_than(minutes=10):
        session = stripe.checkout.Session.retrieve(order.session_id)
        if session.payment_status == "paid":
            fulfil(order, session)  # the same function the webhook calls, which does nothing the second time
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Untried
from holdtrue.guarantees.payments.asking import never_asks
from holdtrue.guarantees.payments.bought import purchases
from holdtrue.guarantees.payments.dropped import Owed, owed
from holdtrue.stage import Stage
from holdtrue.stage.steps import StepFailedError


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Never delivered, and reconciled = delivered; and then delivered after all = delivered.*"""
    tried = False
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        try:
            debt = await owed(bought)
        except StepFailedError as error:
            yield Untried(subject=bought.name, reason=str(error))
            continue
        if debt is not None:
            tried = True
            yield Case(
                name=f"{bought.name}: paid, and no event ever arrives",
                play=partial(_dropped, debt),
                cause=bought.webhook,
            )
    if not tried:
        yield Absent(reason="no purchase told in the document is paid, or none of its events settles anything")


async def _dropped(debt: Owed) -> Harm | None:
    bought = debt.bought
    left = await debt.never_delivered()
    if left:
        _certain(debt)
        seen = (
            f"A customer paid, and {bought.types} never arrived. Three days and a restart later the app had not found "
            f"out: {'; '.join(left[:3])}."
        )
    else:
        twice = await debt.then_delivered(len(bought.scene.mailbox.mails))
        if not twice:
            return None
        seen = (
            f"A customer paid, and {bought.types} did not arrive; the app found out by itself. Then it arrived after "
            f"all, and was applied a second time: {'; '.join(twice[:3])}."
        )
    return Harm(seen=seen, where=bought.stage.document.webhooks[bought.webhook].route, clause=bought.clause)


def _certain(debt: Owed) -> None:
    """Raise StepFailedError where a job that hangs on the wall clock may be all that did not run."""
    stage, webhook = debt.bought.stage, debt.bought.webhook
    if stage.document.webhooks[webhook].reconcile is None and not never_asks(stage.setting.copy):
        raise StepFailedError(
            "no event arrived, and the app did not find out by itself; but it may have a job that does, at times of "
            "its own which a rehearsal cannot bring about",
            where=debt.bought.name,
            why="A job that did not run proves nothing.",
            do=f"Name the command of that job as `reconcile` of [webhooks.{webhook}], or let the worker run it every "
            "second by a setting in `process.env`.",
        )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY045",
    catalogue="P45",
    severity=Severity.HIGH,
    promise="A payment whose event never arrives is found all the same, within three days, and counted once.",
    why="Somebody has paid and gets nothing, for good; whoever looks finds a customer who lies, or an app that does.",
    do="Run a job that asks the provider about what is unfinished, and name its command as the webhook's `reconcile`.",
    do_not="Do not rely on the provider's redeliveries: they end after three days, or with a 200 by mistake.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=3,
)
