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

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.payments.journeys import journeys
from holdtrue.stage import Stage
from holdtrue.stage.payments import Forgery
from holdtrue.stage.play import HOME, deliver, deliver_well, purchase
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed

NEUTRAL = ("tax.settings.updated", {"id": "txs_1", "object": "tax.settings"})
"""An event that hardly any app acts on."""
FORGERIES: dict[Forgery, str] = {
    "unsigned": "without a signature",
    "wrong_secret": "signed with another secret",
    "empty_secret": "signed with an empty secret",
    "tampered_body": "with the signature of another body",
    "malformed_header": "with a signature header that is none",
}


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each event of each journey, forged in each way, where the genuine one has an effect."""
    for webhook, journey in journeys(stage.document):
        await stage.reset()
        try:
            events = await purchase(stage, webhook, journey, HOME, {})
            async with stage.watch() as seen:
                for event in events:
                    await deliver_well(stage, webhook, event)
        except StepFailedError as error:
            yield Untried(subject=f"{webhook}.{journey}", reason=str(error))
            continue
        if not seen.rows:
            yield Untried(subject=f"{webhook}.{journey}", reason="the genuine events changed nothing")
            continue
        for index, event in enumerate(events):
            for forgery in FORGERIES:
                yield _case(stage, webhook, journey, index, event.type, forgery)


def _case(stage: Stage, webhook: str, journey: str, index: int, kind: str, forgery: Forgery) -> Case:
    async def play() -> Harm | None:
        await stage.reset()
        event = (await purchase(stage, webhook, journey, HOME, {}))[index]
        # What a forged event that means nothing leaves behind (a log of deliveries) is no harm.
        neutral = stage.payments.webhooks.forge(stage.payments.emit(*NEUTRAL), forgery)
        async with stage.watch() as ignored:
            await deliver(stage, webhook, neutral, note="a forged event that means nothing")
        async with stage.watch() as seen:
            answer = await deliver(
                stage, webhook, stage.payments.webhooks.forge(event, forgery), note=f"forged: {forgery}"
            )
        changed = set(seen.rows.tables if seen.rows else ()) - set(ignored.rows.tables if ignored.rows else ())
        if not changed:
            return None
        return Harm(
            seen=f"A {kind} {FORGERIES[forgery]} was answered {answer.describe()} and changed "
            f"{listed(changed)}. Nobody had paid.",
            where=stage.document.webhooks[webhook].route,
            clause=("webhooks", webhook),
        )

    return Case(name=f"{webhook}.{journey}: {kind} {forgery}", play=play, cause=webhook)


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
