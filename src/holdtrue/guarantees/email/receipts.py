"""The mails that a purchase's webhook owes: they must come, wherever the process dies around its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from holdtrue.guarantees.base import Case, Harm, Untried
from holdtrue.guarantees.email.rounds import missing, start_again
from holdtrue.guarantees.payments.journeys import journeys
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer, in_turn
from holdtrue.stage.crew import FIRST
from holdtrue.stage.payments import Event
from holdtrue.stage.play import HOME, deliver_until_taken, deliver_well, purchase
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.wire import Point


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A purchase that ends in mails."""

    webhook: str
    journey: str
    owed: tuple[str, ...]
    """Who gets one when nothing is wrong."""
    last: Point | None
    """The last point at which the web process writes."""

    @property
    def name(self) -> str:
        """As the document names it."""
        return f"{self.webhook}.{self.journey}"


async def undisturbed(stage: Stage) -> list[Receipt | Untried]:
    """Make each purchase once, and see who gets a mail."""
    found: list[Receipt | Untried] = []
    for webhook, journey in journeys(stage.document):
        try:
            receipt = await _undisturbed(stage, webhook, journey)
        except StepFailedError as error:
            found.append(Untried(subject=f"{webhook}.{journey}", reason=str(error)))
        else:
            found += [receipt] if receipt.owed else []
    return found


def cases(stage: Stage, receipt: Receipt, came: set[str]) -> Iterator[Case]:
    """Killed after the answer; cut behind the last commit, and redelivered."""
    yield Case(
        name=f"{receipt.name}: killed after the answer",
        play=partial(_killed, stage, receipt, came),
        cause="crash",
    )
    if receipt.last is not None:
        yield Case(
            name=f"{receipt.name}: cut behind the last commit, and redelivered",
            play=partial(_redelivered, stage, receipt, receipt.last),
            cause="crash",
        )


async def deliver_all(stage: Stage, receipt: Receipt) -> None:
    """Buy on the scene as it is, and deliver what comes of it; raises StepFailedError when it is not taken."""
    for event in await purchase(stage, receipt.webhook, receipt.journey, HOME, {}):
        await deliver_well(stage, receipt.webhook, event)


async def _bought(stage: Stage, webhook: str, journey: str) -> tuple[list[Event], int]:
    """Buy; return the events that are still to be delivered, and how many mails were there before."""
    await stage.reset()
    events = await purchase(stage, webhook, journey, HOME, {})
    await stage.rest()
    return events, len(stage.mail.mails)


async def _undisturbed(stage: Stage, webhook: str, journey: str) -> Receipt:
    events, before = await _bought(stage, webhook, journey)
    with stage.wire.record() as recording:
        for event in events:
            await deliver_well(stage, webhook, event)
        await stage.rest()
    owed = sorted({recipient for mail in stage.mail.mails[before:] for recipient in mail.recipients})
    written = recording.points(process=FIRST, writes_only=True)
    return Receipt(webhook=webhook, journey=journey, owed=tuple(owed), last=written[-1] if written else None)


async def _killed(stage: Stage, receipt: Receipt, came: set[str]) -> Harm | None:
    if receipt.name in came:
        came.remove(receipt.name)
        return None
    events, before = await _bought(stage, receipt.webhook, receipt.journey)
    with stage.mail.hold_banner():
        for event in events:
            await deliver_well(stage, receipt.webhook, event)
        await stage.kill()
    await start_again(stage)
    lost = await missing(stage, receipt.owed, after=before, started=True)
    return _harm(stage, receipt, lost, "answered 2xx; then every process was killed")


async def _redelivered(stage: Stage, receipt: Receipt, last: Point) -> Harm | None:
    webhook = receipt.webhook
    events, before = await _bought(stage, webhook, receipt.journey)
    answers: list[Answer] = []
    with stage.wire.cut(last, when="after"):
        for event in events:
            answers += await deliver_until_taken(stage, webhook, event)
    what = f"answered {in_turn(answers)}: the database connection was lost right behind the last commit"
    return _harm(stage, receipt, await missing(stage, receipt.owed, after=before), what)


def _harm(stage: Stage, receipt: Receipt, lost: list[str], what: str) -> Harm | None:
    webhook, journey = receipt.webhook, receipt.journey
    if not lost:
        return None
    events = ", ".join(stage.document.webhooks[webhook].journeys[journey].events)
    return Harm(
        seen=f"{events} was {what}. The mail it owes to {lost[0]} never came, though a day was let pass.",
        where=stage.document.webhooks[webhook].route,
        clause=("webhooks", webhook, "journeys", journey),
    )
