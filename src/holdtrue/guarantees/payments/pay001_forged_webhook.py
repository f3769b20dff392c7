"""Forged webhook that is believed.

What production does
--------------------
The webhook's address is public. Anybody can post "this order is paid" to it, and event formats are documented.

Why apps break here
-------------------
The body is parsed before, or instead of, being verified: to make tests easy, because the secret was not set on the
first day, or because a framework parsed the JSON already and the signature no longer fits.

Wrong
-----
    event = await request.json() if not settings.webhook_secret else construct_event(...)

Right
-----
    payload = await request.body()
    try:
        event = stripe.Webhook.construct_event(payload, request.headers.get("stripe-signature", ""), secret)
    except (ValueError, stripe.SignatureVerificationError):
        raise HTTPException(400)

Refuse to start without a secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.payments.bought import Bought, Step, purchases
from holdtrue.stage import Stage
from holdtrue.stage.payments import Forgery

FORGERIES: dict[Forgery, str] = {
    "unsigned": "without a signature",
    "wrong_secret": "signed with another secret",
    "empty_secret": "signed with an empty secret",
    "tampered_body": "with the signature of another body",
    "malformed_header": "with a signature header that is none",
}


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each event of each purchase, forged in each way, where the genuine one has an effect."""
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        effective = [step for step in bought.steps if step.rows]
        if not effective:
            yield Untried(subject=bought.name, reason="the genuine events changed nothing")
        for step in effective:
            for forgery, words in FORGERIES.items():
                yield Case(
                    name=f"{bought.name}: {step.event.type} {forgery}",
                    play=partial(_play, bought, step, forgery, words),
                    cause=bought.webhook,
                )


async def _play(bought: Bought, step: Step, forgery: Forgery, words: str) -> Harm | None:
    forge = bought.stage.payments.webhooks.forge
    return await bought.believed(step, lambda event: forge(event, forgery), words, "Nobody had paid.")


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY001",
    catalogue="P1",
    severity=Severity.CRITICAL,
    promise="A webhook that the provider did not sign changes nothing; the genuine one does.",
    why="Anybody can mark orders as paid and take the goods.",
    do="Verify the signature over the raw body before anything else, and refuse to start without a secret.",
    do_not="Do not skip the verification for tests or for a missing secret: that is the hole.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
    weight=3,
)
