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
from holdtrue.stage import Stage

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
    webhooks = bought.stage.payments.webhooks
    return await bought.believed(
        step,
        lambda event: webhooks.delivery(event, at=webhooks.now() - DAY),
        "whose signature was a day old",
        "Whoever finds an old request in a log can send it again.",
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
