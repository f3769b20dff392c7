"""Waiting for a mail as long as a patient person would: time passes in the database, not on the wall."""

from __future__ import annotations

from holdtrue.contract.document import Document
from holdtrue.contract.template import render
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST, WORKER
from holdtrue.stage.mail import Mail, MailTimeoutError
from holdtrue.stage.play import HOME

ROUNDS = (0, 600, 3_600, 86_400)
"""Seconds that pass before the mail is looked for again: back-offs and leases run out."""
TIMER = 1.0
"""Seconds on the wall that a back-off kept in a process's memory is given."""


async def prepare(stage: Stage, name: str, *, reset: bool = True) -> tuple[dict[str, object], str]:
    """Reset, and play what comes before the mail's cause; return the variables and the recipient."""
    if reset:
        await stage.reset()
    told = stage.document.mail[name]
    variables: dict[str, object] = {}
    await stage.player.play(told.before, who=None, tenant=HOME, extra=variables)
    variables.setdefault("unique", stage.cast.unique())
    return variables, render(told.to, stage.cast.view(None, HOME, variables))


async def cause(stage: Stage, name: str, variables: dict[str, object]) -> Answer:
    """Play the step that causes the mail, and return the answer whatever it is."""
    step = stage.document.mail[name].cause
    sender: Who | None = stage.cast.who(step.as_, HOME) if step.as_ else None
    view = stage.cast.view(sender, HOME, variables)
    return await stage.player.send(step, sender=sender, tenant=HOME, view=view)


async def arrives(stage: Stage, to: str, *, after: int) -> Mail | None:
    """Return the mail once it is there; let a day pass, in rounds, before giving up."""
    for seconds in ROUNDS:
        if seconds:
            await stage.age(seconds)
        await stage.rest()
        if found := stage.mail.find(to=to, after=after):
            return found[-1]
        if seconds and (mail := await _by_timer(stage, to, after)):
            return mail
    return None


async def _by_timer(stage: Stage, to: str, after: int) -> Mail | None:
    """Wait for timers, which do not age with the database: a short one fires, a long one begins anew at a start."""
    try:
        return await stage.mail.arrived(to=to, after=after, patience=TIMER)
    except MailTimeoutError:
        await stage.restart()
        await stage.rest()
    return next(iter(stage.mail.find(to=to, after=after)), None)


async def start_again(stage: Stage) -> None:
    """Start the app after everything was killed, as its supervisor would."""
    await stage.revive(FIRST, *([WORKER] if stage.crew.has_worker else []))


def mails(document: Document) -> list[str]:
    """The mails a document promises."""
    return list(document.mail)
