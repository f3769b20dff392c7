"""Waiting for a mail as long as a patient person would: time passes in the database, not on the wall."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from holdtrue.contract.document import Document, Mail
from holdtrue.contract.template import render
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST, WORKER
from holdtrue.stage.mail import MailTimeoutError
from holdtrue.stage.play import HOME

ROUNDS = (0, 600, 3_600, 86_400)
"""Seconds that pass before the mail is looked for again: back-offs and leases run out."""
DOWN = 300
"""Seconds that a killed app stays down: leases run out meanwhile; links in mails are still good."""
TIMER = 0.5
"""Seconds on the wall that a back-off kept in a process's memory is given."""


async def prepare(
    stage: Stage, name: str, *, reset: bool = True, told: Mail | None = None
) -> tuple[dict[str, object], str]:
    """Reset, and play what comes before the mail's cause, or before another one's; return variables and recipient."""
    if reset:
        await stage.reset()
    told = told or stage.document.mail[name]
    variables: dict[str, object] = {}
    await stage.player.play(told.before, who=None, tenant=HOME, extra=variables)
    variables.setdefault("unique", stage.cast.unique())
    return variables, render(told.to, stage.cast.view(None, HOME, variables))


async def cause(stage: Stage, name: str, variables: dict[str, object], *, told: Mail | None = None) -> Answer:
    """Play the step that causes the mail, or another one's, and return the answer whatever it is."""
    step = (told or stage.document.mail[name]).cause
    sender: Who | None = stage.cast.who(step.as_, HOME) if step.as_ else None
    view = stage.cast.view(sender, HOME, variables)
    return await stage.player.send(step, sender=sender, tenant=HOME, view=view)


async def missing(stage: Stage, recipients: Iterable[str], *, after: int, started: bool = False) -> list[str]:
    """Who of these gets no mail, although a day is let pass, in rounds.

    Timers in a process's memory do not age with the database: a short one is waited for, a long one begins anew when
    its process does. Where the app was ``started`` after its leases had run out, no timer waits for them.
    """
    left = list(recipients)
    for seconds in ROUNDS:
        if seconds:
            await stage.age(seconds)
        left = await _looked(stage, left, after)
        if left and not started and seconds:
            started = True
            with suppress(MailTimeoutError):
                await stage.mail.arrived(to=left[0], after=after, patience=TIMER)
            left = await _looked(stage, left, after)
            if left:
                await stage.restart()
                left = await _looked(stage, left, after)
        if not left:
            break
    return left


async def _looked(stage: Stage, recipients: list[str], after: int) -> list[str]:
    await stage.rest()
    return [to for to in recipients if not stage.mail.find(to=to, after=after)]


async def start_again(stage: Stage) -> None:
    """Start the app after everything was killed, as its supervisor would; what the dead had leased is free again."""
    await stage.age(DOWN)
    await stage.revive(FIRST, *([WORKER] if stage.crew.has_worker else []))


def mails(document: Document) -> list[str]:
    """The mails a document promises."""
    return list(document.mail)
