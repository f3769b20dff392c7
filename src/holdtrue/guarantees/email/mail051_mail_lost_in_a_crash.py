"""Mail lost when the process dies after the answer.

What production does
--------------------
Processes die all the time: deploys, memory limits, a node that goes away. Often in the second after an answer was sent.

Why apps break here
-------------------
The mail is handed to a background task in memory. The answer says "done", the process dies, and nothing anywhere
remembers that a mail was owed.

Wrong
-----
    tasks.add_task(send_receipt, user, payment)
    return {"received": True}

Right
-----
    db.add(Outbox(...))  # with the payment, in one transaction
    db.commit()
    return {"received": True}
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.email import receipts
from holdtrue.guarantees.email.rounds import cause, mails, missing, prepare, start_again
from holdtrue.stage import Stage
from holdtrue.stage.crew import FIRST
from holdtrue.stage.steps import StepFailedError, meets
from holdtrue.stage.wire import Point

HELD, SENT = 0.4, 0.05
"""Seconds an answer is waited for while a write is held, and when the app stands still: behind the write none comes."""
PATIENCE = 3.0
"""Seconds an answer may take while the provider hesitates; an app that waits for its provider answers afterwards."""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each mail, and each that a purchase owes: answered while the provider hesitates, then every process dies at once.

    All mails are first tried together, for one crash shows as much as three; what did not come is tried alone.
    """
    last_writes: dict[str, Point | None] = {}
    for name in mails(stage.document):
        try:
            last_writes[name] = await _undisturbed(stage, name)
        except StepFailedError as error:
            yield Untried(subject=f"mail.{name}", reason=str(error))
    bought = await receipts.undisturbed(stage)
    for each in bought:
        if isinstance(each, Untried):
            yield each
    owed = [each for each in bought if isinstance(each, receipts.Receipt)]
    came = await _together(stage, list(last_writes), owed)
    for name, last in last_writes.items():
        yield Case(name=f"{name}: killed after the answer", play=partial(_play, stage, name, came), cause="crash")
        if last is not None:
            yield Case(
                name=f"{name}: killed between the answer and the last write",
                play=partial(_behind, stage, name, last),
                cause="crash",
            )
    for receipt in owed:
        for case in receipts.cases(stage, receipt, came):
            yield case


async def _undisturbed(stage: Stage, name: str) -> Point | None:
    """Cause a mail and see it come; return the last point at which the web process writes."""
    variables, to = await prepare(stage, name)
    before = len(stage.mail.mails)
    with stage.wire.record() as recording:
        await cause(stage, name, variables)
        if await missing(stage, [to], after=before):
            raise StepFailedError(f"no mail came to {to} although nothing was wrong", where=name)
    written = recording.points(process=FIRST, writes_only=True)
    return written[-1] if written else None


async def _together(stage: Stage, names: list[str], bought: list[receipts.Receipt]) -> set[str]:
    """Cause all mails, kill everything, start again; return the mails that came all the same."""
    await stage.reset()
    owed: dict[str, tuple[str, ...]] = {}
    before = len(stage.mail.mails)
    with stage.mail.hold_banner():
        for receipt in bought:
            await receipts.deliver_all(stage, receipt)
            owed[receipt.name] = receipt.owed
        for name in names:
            variables, to = await prepare(stage, name, reset=False)
            asked = asyncio.create_task(cause(stage, name, variables))
            await asyncio.wait({asked}, timeout=PATIENCE)
            if not asked.done():
                asked.cancel()  # it waits for the provider before it answers: tried alone
                break
            if meets(stage.document.mail[name].cause.expect, await asked):
                owed[name] = (to,)
        await stage.kill()
    await start_again(stage)
    recipients = {to for everybody in owed.values() for to in everybody}
    lost = await missing(stage, recipients, after=before, started=True)
    return {name for name, everybody in owed.items() if not set(everybody) & set(lost)}


async def _play(stage: Stage, name: str, came: set[str]) -> Harm | None:
    if name in came:
        came.remove(name)  # what was seen counts once; when it is played again, it is tried again
        return None
    variables, to = await prepare(stage, name)
    before = len(stage.mail.mails)
    with stage.mail.hold_banner() as hesitating:
        asked = asyncio.create_task(cause(stage, name, variables))
        await asyncio.wait({asked}, timeout=PATIENCE)
        if not asked.done():
            # It waits for the provider before it answers: nothing is owed after the answer.
            hesitating.lift()
            await asked
            return None if stage.mail.find(to=to, after=before) else _harm(stage, name, "its answer")
        answer = await asked
        await stage.kill()
    await start_again(stage)
    if not meets(stage.document.mail[name].cause.expect, answer):
        raise StepFailedError(f"its cause was answered {answer.describe()}", where=f"mail.{name}")
    if not await missing(stage, [to], after=before, started=True):
        return None
    return _harm(stage, name, answer.describe())


async def _behind(stage: Stage, name: str, last: Point) -> Harm | None:
    """Hold the last write. If the answer comes all the same, it promised what was not written yet: kill it there."""
    variables, to = await prepare(stage, name)
    before = len(stage.mail.mails)
    with stage.wire.hold(last) as hold:
        asked = asyncio.create_task(cause(stage, name, variables))
        reached = asyncio.create_task(hold.reached())
        await asyncio.wait({asked, reached}, return_when=asyncio.FIRST_COMPLETED)
        # An answer that comes first has promised; the write that it owes may take a moment longer in a fresh process.
        if reached.done():
            await stage.quiet.rest(polls=False, patience=HELD)
        await asyncio.wait({asked} if reached.done() else {reached}, timeout=SENT if reached.done() else PATIENCE)
        reached.cancel()
        answered_first = asked.done() and hold.is_reached
        if answered_first:
            await stage.kill()
    answer = await asked
    if not answered_first:
        return None
    await start_again(stage)
    if not await missing(stage, [to], after=before, started=True):
        return None
    return _harm(stage, name, answer.describe())


def _harm(stage: Stage, name: str, answered: str) -> Harm:
    request = stage.document.mail[name].cause.request
    return Harm(
        seen=f"{request} was answered {answered}; then every process was killed and started again. The mail {name!r} "
        "never came, though a day was let pass.",
        where=f"mail.{name}",
        clause=("mail", name),
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="MAIL051",
    catalogue="P51",
    severity=Severity.HIGH,
    promise="A mail that an answered request owes arrives, even if every process dies right after the answer.",
    why="Each deploy silently swallows receipts, invitations and reset links.",
    do="Write the mail into an outbox table in the transaction that causes it.",
    do_not="Do not wait for background tasks at shutdown: a killed process gets no shutdown.",
    subjects=mails,
    rehearse=rehearse,
    weight=6,
)
