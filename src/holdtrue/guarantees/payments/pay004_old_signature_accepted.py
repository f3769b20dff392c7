"""Old signature that is still believed.

What production does
--------------------
A request that Stripe once signed lies in a log, a proxy's record, an error tracker. Whoever reads it there can send it
again, byte for byte, with its valid signature. Only the moment in the signature tells that it is old.

Why apps break here
-------------------
The check of the moment is switched off (`tolerance=None`), because a test used a recorded event, or because a replay
during development was refused. Or the signature is computed by hand, and the moment is parsed and never compared.

Wrong
-----
    event = stripe.Webhook.construct_event(payload, header, secret, tolerance=None)

Right
-----
    event = stripe.Webhook.construct_event(payload, header, secret)  # 300 seconds, both ways of the clock

Stripe's advice: https://docs.stripe.com/webhooks#replay-attacks
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.payments.bought import Bought, Step, purchases
from holdtrue.guarantees.payments.pay001_forged_webhook import NEUTRAL
from holdtrue.stage import Stage
from holdtrue.stage.play import deliver
from holdtrue.stage.tables import listed

DAY = 24 * 3600
"""Seconds; nobody's clock is wrong by so much, and no honest delivery takes so long with one signature."""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each event of each purchase that has an effect, with a signature of yesterday."""
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        for step in bought.steps:
            if step.rows:
                name = f"{bought.name}: {step.event.type} signed a day ago"
                yield Case(name=name, play=partial(_play, bought, step), cause=bought.webhook)


async def _play(bought: Bought, step: Step) -> Harm | None:
    stage, webhooks = bought.stage, bought.stage.payments.webhooks
    await bought.begin(step.before)
    yesterday = int(stage.payments.world.clock.now()) - DAY
    # What a refused delivery leaves behind (a log of deliveries) is no harm.
    neutral = webhooks.delivery(stage.payments.emit(*NEUTRAL), at=yesterday)
    async with stage.watch() as ignored:
        await deliver(stage, bought.webhook, neutral, note="an old event that means nothing")
    async with stage.watch() as seen:
        answer = await deliver(
            stage, bought.webhook, webhooks.delivery(step.event, at=yesterday), note="signed a day ago"
        )
    changed = set(seen.rows.tables if seen.rows else ()) - set(ignored.rows.tables if ignored.rows else ())
    if not changed:
        return None
    return Harm(
        seen=f"A {step.event.type} whose signature was a day old was answered {answer.describe()} and changed "
        f"{listed(changed)}. Whoever finds an old request in a log can send it again.",
        where=stage.document.webhooks[bought.webhook].route,
        clause=("webhooks", bought.webhook),
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY004",
    catalogue="P4",
    severity=Severity.MEDIUM,
    promise="A signature that was made long ago changes nothing; a fresh one of the same event does.",
    why="A recorded payment can be played again by anybody who reads a log, for as long as the secret lives.",
    do="Leave the SDK's tolerance as it is, and keep the servers' clocks right.",
    do_not="Do not rely on remembered event ids alone: they are deleted one day, and the signature is valid for ever.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
)
