"""The mails that a purchase's webhook owes: they must come, wherever the process dies around its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.guarantees.base import Case, Harm, Untried
from holdtrue.guarantees.email.rounds import arrives, start_again
from holdtrue.guarantees.payments.journeys import journeys
from holdtrue.stage import Stage
from holdtrue.stage.crew import FIRST
from holdtrue.stage.payments import Event
from holdtrue.stage.play import HOME, deliver, deliver_well, purchase
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.wire import Point

REDELIVERIES = 3


async def cases(stage: Stage) -> AsyncIterator[Case | Untried]:
    """For each purchase that ends in a mail: killed after the answer; cut behind the last commit, and redelivered."""
    for webhook, journey in journeys(stage.document):
        subject = f"{webhook}.{journey}"
        try:
            owed, last = await _undisturbed(stage, webhook, journey)
        except StepFailedError as error:
            yield Untried(subject=subject, reason=str(error))
            continue
        if not owed:
            continue
        yield Case(
            name=f"{subject}: killed after the answer",
            play=partial(_killed, stage, webhook, journey, owed),
            cause="crash",
        )
        if last is not None:
            yield Case(
                name=f"{subject}: cut behind the last commit, and redelivered",
                play=partial(_redelivered, stage, webhook, journey, owed, last),
                cause="crash",
            )


async def _bought(stage: Stage, webhook: str, journey: str) -> tuple[list[Event], int]:
    """Buy; return the events that are still to be delivered, and how many mails were there before."""
    await stage.reset()
    events = await purchase(stage, webhook, journey, HOME, {})
    await stage.rest()
    return events, len(stage.mail.mails)


async def _undisturbed(stage: Stage, webhook: str, journey: str) -> tuple[list[str], Point | None]:
    """Who gets a mail when nothing is wrong, and the last point at which the web process writes."""
    events, before = await _bought(stage, webhook, journey)
    with stage.wire.record() as recording:
        for event in events:
            await deliver_well(stage, webhook, event)
        await stage.rest()
    owed = sorted({recipient for mail in stage.mail.mails[before:] for recipient in mail.recipients})
    written = recording.points(process=FIRST, writes_only=True)
    return owed, written[-1] if written else None


async def _killed(stage: Stage, webhook: str, journey: str, owed: list[str]) -> Harm | None:
    events, before = await _bought(stage, webhook, journey)
    with stage.mail.hold_banner():
        for event in events:
            await deliver_well(stage, webhook, event)
        await stage.kill()
    await start_again(stage)
    return await _missing(stage, webhook, journey, owed, before, "answered 2xx; then every process was killed")


async def _redelivered(stage: Stage, webhook: str, journey: str, owed: list[str], last: Point) -> Harm | None:
    events, before = await _bought(stage, webhook, journey)
    answers = []
    with stage.wire.cut(last, when="after"):
        for event in events:
            for _ in range(1 + REDELIVERIES):
                answers.append(await deliver(stage, webhook, stage.payments.webhooks.delivery(event)))
                if answers[-1].admitted:
                    break
    told = ", then ".join(answer.describe() for answer in answers)
    what = f"answered {told}: the database connection was lost right behind the last commit"
    return await _missing(stage, webhook, journey, owed, before, what)


async def _missing(stage: Stage, webhook: str, journey: str, owed: list[str], before: int, what: str) -> Harm | None:
    missing = [to for to in owed if await arrives(stage, to, after=before) is None]
    if not missing:
        return None
    events = ", ".join(stage.document.webhooks[webhook].journeys[journey].events)
    return Harm(
        seen=f"{events} was {what}. The mail it owes to {missing[0]} never came, though a day was let pass.",
        where=stage.document.webhooks[webhook].route,
        clause=("webhooks", webhook, "journeys", journey),
    )
