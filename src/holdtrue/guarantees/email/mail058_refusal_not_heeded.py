"""Refused mail tried for ever, or only once.

What production does
--------------------
The provider answers 550 to an address that does not exist, and 451 while it is busy, as greylisting servers do with
everybody they do not know (RFC 5321, section 4.2.1: 5xx is for good, 4xx for now).

Why apps break here
-------------------
One `except Exception` treats both alike. What will never be delivered is tried again for days, and the provider counts
that against everybody's mails; or what only had to wait is given up, or tried again without a pause. Or the mail at the
head of the queue keeps all others waiting.

Wrong
-----
    try:
        send(mail)
    except Exception:
        retry_later(mail)

Right
-----
    except smtplib.SMTPRecipientsRefused as error:
        code = error.recipients[mail.to][0]
        bury(mail) if code >= 500 else retry_later(mail)  # a dead letter that somebody sees; back-off with jitter
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.email.refusals import (
    BURST,
    FOR_GOOD,
    FOR_NOW,
    PATIENCE,
    Refused,
    another,
    delivered,
    is_burst,
    refused,
    tried_again,
)
from holdtrue.guarantees.email.rounds import TIMER, mails
from holdtrue.stage import Stage
from holdtrue.stage.mail import MailTimeoutError
from holdtrue.stage.steps import StepFailedError

A_DAY = 86_400
ANSWERS = {"refused for good": FOR_GOOD, "refused for now": FOR_NOW}


@dataclass
class _Known:
    """What is known of the mails by now."""

    usual: dict[str, int] = field(default_factory=dict)
    """The mails that come when nothing is wrong, and how many their recipients get."""
    clean: set[str] = field(default_factory=set)
    """Those with which all was well when they were refused side by side; what was seen counts once."""
    lost: set[str] = field(default_factory=set)
    """Those that were never tried again."""


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each mail, refused for good and for now. All are tried together first; where anything is wrong, each alone."""
    names, known = mails(stage.document), _Known()
    try:
        known.usual |= await delivered(stage, names)
    except StepFailedError:
        stage.distrust()  # one of them cannot be caused: each is tried alone
    together = list(known.usual)
    for name in names:
        if name in together:
            continue
        try:
            known.usual |= await delivered(stage, [name])
        except StepFailedError as error:
            yield Untried(subject=f"mail.{name}", reason=str(error))
            continue
        if name not in known.usual:
            yield Untried(subject=f"mail.{name}", reason="no mail came although nothing was wrong")
    for answer, reply in ANSWERS.items():
        if together and await _all_is_well(stage, together, reply, known):
            known.clean |= {f"{name}: {answer}" for name in together}
        for name in known.usual:
            case = f"{name}: {answer}"
            yield Case(name=case, play=partial(_play, stage, case, name, reply, known), cause=answer)


async def _all_is_well(stage: Stage, names: Sequence[str], reply: str, known: _Known) -> bool:
    """Whether nothing goes wrong when mails are refused side by side."""
    try:
        return await _wrong(stage, names, reply, known) is None
    except StepFailedError:
        stage.distrust()
        return False


async def _play(stage: Stage, case: str, name: str, reply: str, known: _Known) -> Harm | None:
    if case in known.clean:
        known.clean.remove(case)
        return None
    wrong = await _wrong(stage, [name], reply, known)
    if wrong is None:
        return None
    return Harm(
        seen=f"The provider answered {reply.split(' ')[0]} to the recipient of the mail {name!r}. {wrong}",
        where=f"mail.{name}",
        clause=("mail", name),
    )


async def _wrong(stage: Stage, names: Sequence[str], reply: str, known: _Known) -> str | None:
    """What goes wrong with these mails, in words."""
    run = await refused(stage, names, reply)
    if set(run.owed) - {name for name, to in run.owed.items() if run.faults[to].fired}:
        raise StepFailedError("no attempt was seen", where=f"mail.{names[0]}")
    for name, to in run.owed.items():
        if run.at_first[name] >= BURST * known.usual[name] and is_burst(run.faults[to]):
            return f"It was tried {run.at_first[name]} times, one attempt right after the other."
    if reply == FOR_GOOD:
        return await _others(stage, names, run) or await _for_good(stage, run, known)
    return await _for_now(stage, run, known) or await _others(stage, names, run)


async def _for_good(stage: Stage, run: Refused, known: _Known) -> str | None:
    again = await tried_again(stage, run, known.usual)
    for name in again:
        # What time brings by itself, such as a reminder, is not this mail once more.
        if again[name] > (await delivered(stage, [name], later=A_DAY)).get(name, 0):
            return f"It was tried {again[name]} times, as time passed, though 550 says that it never will be taken."
    return None


async def _for_now(stage: Stage, run: Refused, known: _Known) -> str | None:
    """Attempts that follow each other at once are one: what counts is whether there is another when time has passed."""
    at_first = run.at_first
    again = await tried_again(stage, run, at_first)
    for name in run.owed.keys() - again.keys():
        # Where one never came again, nobody is waited for as long.
        patience = TIMER if known.lost - {name} else PATIENCE
        try:
            await run.faults[run.owed[name]].reached(at_first[name] + 1, patience=patience)
        except MailTimeoutError:
            known.lost.add(name)
            tries = "" if at_first[name] == 1 else f" after {at_first[name]} attempts at once"
            return (
                f"It was never tried again{tries}, though a day was let pass and the app was started anew: it is lost."
            )
    return None


async def _others(stage: Stage, names: Sequence[str], run: Refused) -> str | None:
    found = await another(stage, mails(stage.document), run)
    if found is None or found[1]:
        return None
    return f"As long as it was refused, another mail, {found[0]!r} to somebody else, did not arrive either."


GUARANTEE = Guarantee(
    doc=__doc__,
    code="MAIL058",
    catalogue="P58",
    severity=Severity.MEDIUM,
    promise="A mail refused for good is tried once, one refused for now again later, and no other waits for it.",
    why="Providers throttle, then block who keeps writing to dead addresses: that takes everybody's mails along.",
    do="Tell 5xx from 4xx: the first to a dead letter that somebody sees, the second again with back-off and jitter.",
    do_not="Do not give up at the first 4xx instead: greylisting servers answer it to every first attempt.",
    subjects=mails,
    rehearse=rehearse,
    weight=5,
)
