"""Mails that the provider refuses, for good or for now: how often each is tried, and whether others still arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from holdtrue.guarantees.email.rounds import ROUNDS, TIMER, cause, missing, prepare
from holdtrue.stage import Stage
from holdtrue.stage.mail import Fault, MailTimeoutError, Phase
from holdtrue.stage.steps import meets

FOR_GOOD, FOR_NOW = "550 5.1.1 no such user here", "451 4.3.0 try again later"
BURST = 6
"""Attempts before the app comes to rest even once: between two of them there was no pause worth the name."""
GROWTH = 3
"""The last two pauses of a back-off that doubles are more than so many times its first two."""
PATIENCE = 10.0
"""Seconds on the wall that an attempt, or another mail, is waited for before it is said not to come."""


@dataclass(frozen=True, kw_only=True)
class Owed:
    """A mail that is about to be caused."""

    name: str
    variables: dict[str, object]
    to: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Mails that were caused while the provider refuses their recipients; the refusals last on."""

    faults: dict[str, Fault]
    """Recipient → what refuses it; it counts the attempts."""
    owed: dict[str, str]
    """Mail → recipient, where the request that causes it succeeded all the same."""
    at_first: dict[str, int]
    """Mail → attempts before the app came to rest: no time was let pass."""


async def ready(stage: Stage, names: Sequence[str]) -> list[Owed]:
    """Reset, and play what comes before each mail's cause; the mails of that have come by then.

    Of several mails to one recipient only the first is among them.

    Raises:
        StepFailedError: a step was refused.
    """
    await stage.reset()
    found: dict[str, Owed] = {}
    for name in names:
        variables, to = await prepare(stage, name, reset=False)
        found.setdefault(to, Owed(name=name, variables=variables, to=to))
    await stage.rest()
    return list(found.values())


async def caused(stage: Stage, found: Sequence[Owed]) -> dict[str, str]:
    """Cause the mails; return which are owed now, and to whom: not those whose request was refused."""
    owed = {}
    for each in found:
        answer = await cause(stage, each.name, each.variables)
        if meets(stage.document.mail[each.name].cause.expect, answer):
            owed[each.name] = each.to
    return owed


async def delivered(stage: Stage, names: Sequence[str], *, later: float = 0) -> dict[str, int]:
    """Cause mails while nothing is wrong; return those that come, and how many mails their recipients get.

    With ``later``, seconds pass and the processes start anew before they are counted.

    Raises:
        StepFailedError: a step was refused.
    """
    found = await ready(stage, names)
    after = len(stage.mail.mails)
    owed = await caused(stage, found)
    await missing(stage, owed.values(), after=after)
    if later:
        await stage.age(later)
        await stage.restart()
        await stage.rest()
    counts = {name: len(stage.mail.find(to=to, after=after)) for name, to in owed.items()}
    return {name: count for name, count in counts.items() if count}


async def refused(stage: Stage, names: Sequence[str], reply: str) -> Refused:
    """Cause mails while the provider refuses their recipients, and wait for what follows behind the answers.

    Raises:
        StepFailedError: a step was refused.
    """
    found = await ready(stage, names)
    faults = {to: stage.mail.refuse(Phase.RCPT, reply, to=to) for to in {each.to for each in found}}
    owed = await caused(stage, found)
    resting = asyncio.create_task(stage.rest())
    bursts = [asyncio.create_task(_met(fault, BURST, 2 * PATIENCE)) for fault in faults.values()]
    try:
        # Whoever tries again at once and for ever never rests.
        await asyncio.wait({resting, *bursts}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in bursts:
            task.cancel()
        await asyncio.gather(*bursts, return_exceptions=True)
    if not resting.done() and not any(fault.fired >= BURST for fault in faults.values()):
        await resting
    resting.cancel()
    await asyncio.gather(resting, return_exceptions=True)
    return Refused(faults=faults, owed=owed, at_first={name: faults[to].fired for name, to in owed.items()})


async def _met(fault: Fault, times: int, patience: float) -> None:
    """Wait until so many attempts met it, or patience ends."""
    with suppress(MailTimeoutError):
        await fault.reached(times, patience=patience)


def is_burst(fault: Fault) -> bool:
    """Whether the first attempts follow each other without pauses that grow."""
    moments = fault.moments[:BURST]
    return len(moments) == BURST and moments[-1] - moments[-3] < GROWTH * (moments[2] - moments[0])


async def tried_again(stage: Stage, run: Refused, beyond: Mapping[str, int]) -> dict[str, int]:
    """The mails that are tried more than so many times within a day and a restart, and how often.

    It ends as soon as each is.
    """

    def again() -> dict[str, int]:
        counts = {name: run.faults[to].fired for name, to in run.owed.items()}
        return {name: count for name, count in counts.items() if count > beyond[name]}

    for seconds in ROUNDS[1:]:
        if len(again()) == len(run.owed):
            return again()
        await stage.age(seconds)
        await stage.rest()
    await asyncio.gather(*(_met(run.faults[to], beyond[name] + 1, TIMER) for name, to in run.owed.items()))
    if len(again()) < len(run.owed):
        await stage.restart()
        await stage.rest()
    return again()


async def another(stage: Stage, names: Sequence[str], run: Refused) -> tuple[str, bool] | None:
    """Cause one more mail, to somebody who is not refused: which it is, and whether it comes; None where there is none.

    Raises:
        StepFailedError: a step was refused.
    """
    for name in names:
        variables, to = await prepare(stage, name, reset=False)
        if to in run.faults:
            continue
        await stage.rest()
        after = len(stage.mail.mails)
        if not await caused(stage, [Owed(name=name, variables=variables, to=to)]):
            continue
        if not await missing(stage, [to], after=after):
            return name, True
        with suppress(MailTimeoutError):  # whoever waits between two attempts may only be slow
            await stage.mail.arrived(to=to, after=after, patience=PATIENCE)
        return name, bool(stage.mail.find(to=to, after=after))
    return None
