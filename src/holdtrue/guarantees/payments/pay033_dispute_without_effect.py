"""Dispute that changes nothing, or never ends.

What production does
--------------------
A card holder disputes a payment. The bank takes the money at once, and decides months later: it is lost, or it comes
back. Some disputes are inquiries only, and no money moves at all.

Why apps break here
-------------------
Nobody tests disputes, so no handler knows them: the payment goes on counting as revenue, and what was bought goes on
working. Or `created` is handled and nothing else: an inquiry takes the customer's access, and a dispute that was won
never gives it back.

Wrong
-----
    elif event["type"] == "charge.dispute.created":
        ledger.add(-dispute["amount"])  # and an inquiry? and one that is won?

Right
-----
    elif event["type"] == "charge.dispute.funds_withdrawn":
        ledger.add(-dispute["amount"])
    elif event["type"] == "charge.dispute.funds_reinstated":
        ledger.add(dispute["amount"])
    elif event["type"] == "charge.dispute.closed":
        settle(dispute["id"], dispute["status"])  # won, lost or warning_closed
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Untried
from holdtrue.guarantees.payments.bought import purchases
from holdtrue.guarantees.payments.disputed import Sold, Verdict, sold
from holdtrue.stage import Stage
from holdtrue.stage.steps import StepFailedError

TOLD: dict[Verdict, str] = {
    "won": "was disputed and the money withdrawn; then the dispute was won, and the money came back",
    "warning_closed": "was questioned in an inquiry, which was closed: no money ever moved",
}
NAMES: dict[Verdict, str] = {"won": "a dispute that is won", "warning_closed": "an inquiry that is closed"}


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Disputed and lost ≠ nothing happened; disputed and won, or questioned only = nothing happened.*"""
    tried = False
    for bought in await purchases(stage):
        if isinstance(bought, Untried):
            yield bought
            continue
        try:
            one = await sold(bought)
        except StepFailedError as error:
            yield Untried(subject=bought.name, reason=str(error))
            continue
        if one is None:
            continue
        tried = True
        yield Case(
            name=f"{bought.name}: a dispute that is lost",
            play=partial(_lost, one),
            cause=f"{bought.webhook}: no trace",
        )
        for verdict in TOLD:
            yield Case(
                name=f"{bought.name}: {NAMES[verdict]}",
                play=partial(_restored, one, verdict),
                cause=f"{bought.webhook}: not restored",
            )
    if not tried:
        yield Absent(reason="no purchase told in the document is a one-time payment that takes money")


async def _lost(one: Sold) -> Harm | None:
    if (await one.closed("lost")).traces or await one.traces_later():
        return None
    return _harm(
        one,
        "A payment was disputed, the money withdrawn, and the dispute was lost. Nothing changed in the app but its "
        "list of events: the payment goes on counting as money that is there, and what was bought goes on working.",
    )


async def _restored(one: Sold, verdict: Verdict) -> Harm | None:
    if not one.taken(await one.closed(verdict)):
        return None
    lost = await one.closed("lost")
    wrong = one.taken(await one.closed(verdict), lost)
    if wrong:
        wrong = await one.still_taken(lost, wrong)
    if not wrong:
        return None
    return _harm(one, f"A payment {TOLD[verdict]}. The app took it for lost: {'; '.join(sorted(wrong)[:3])}.")


def _harm(one: Sold, seen: str) -> Harm:
    bought = one.bought
    return Harm(seen=seen, where=bought.stage.document.webhooks[bought.webhook].route, clause=bought.clause)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY033",
    catalogue="P33",
    severity=Severity.HIGH,
    promise="A dispute that is lost leaves a trace in the app; one that is won, or an inquiry, takes nothing for good.",
    why="Money that the bank took back counts as revenue, or a customer who is in the right stays locked out.",
    do="Handle funds_withdrawn, funds_reinstated and closed; let only the first take money out of the books.",
    do_not="Do not let `charge.dispute.created` alone decide: it comes for inquiries, too.",
    subjects=lambda document: list(document.webhooks),
    rehearse=rehearse,
)
