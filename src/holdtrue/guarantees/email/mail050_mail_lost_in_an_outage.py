"""Mail lost while the provider is down.

What production does
--------------------
The mail provider refuses connections for a minute, or answers "try again later" to everything, as greylisting servers
do. People go on signing up, paying and resetting passwords meanwhile.

Why apps break here
-------------------
The mail is sent inside the request, so that a slow or dead provider fails the sign-up. Or the failure is caught and
logged: the request succeeds, and the mail is gone for good.

Wrong
-----
    try:
        smtp.send_message(message)
    except OSError:
        log.exception("could not send")

Right
-----
    db.add(Outbox(to=user.email, subject=subject, body=body))  # in the same transaction as the sign-up
    db.commit()
    # a worker sends what is due: 4xx and lost connections with back-off, 5xx to a dead letter that somebody sees
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.email.rounds import cause, mails, missing, prepare
from holdtrue.stage import Stage
from holdtrue.stage.mail import Phase
from holdtrue.stage.steps import StepFailedError, meets

OUTAGES = {"refuses connections": None, "answers 451 to every recipient": "451 4.3.0 try again later"}


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each mail while the provider is down: what caused it succeeds all the same, and the mail comes afterwards."""
    for name in mails(stage.document):
        try:
            variables, to = await prepare(stage, name)
            before = len(stage.mail.mails)
            answer = await cause(stage, name, variables)
            if not meets(stage.document.mail[name].cause.expect, answer):
                raise StepFailedError(f"its cause was answered {answer.describe()}: {answer.text[:200]}", where=name)
            if await missing(stage, [to], after=before):
                raise StepFailedError(f"no mail came to {to} although the provider was up", where=name)
        except StepFailedError as error:
            yield Untried(subject=f"mail.{name}", reason=str(error))
            continue
        for outage in OUTAGES:
            yield _case(stage, name, outage)


def _case(stage: Stage, name: str, outage: str) -> Case:
    async def play() -> Harm | None:
        variables, to = await prepare(stage, name)
        before = len(stage.mail.mails)
        request = stage.document.mail[name].cause.request
        reply = OUTAGES[outage]
        if reply is None:
            await stage.mail.down()
        else:
            stage.mail.refuse(Phase.RCPT, reply)
        answer = await cause(stage, name, variables)
        await stage.rest()
        attempts = len(stage.mail.attempts)
        stage.mail.behave()
        await stage.mail.up()
        if not meets(stage.document.mail[name].cause.expect, answer):
            return Harm(
                seen=f"While the mail provider {outage}, {request} was answered {answer.describe()}: what the person "
                "asked for failed because of a mail.",
                where=f"mail.{name}",
                clause=("mail", name),
            )
        if not await missing(stage, [to], after=before):
            return None
        tried = "was tried again, but never came" if len(stage.mail.attempts) > attempts else "was never tried again"
        return Harm(
            seen=f"While the mail provider {outage}, {request} was answered {answer.describe()}. The provider came "
            f"back; the mail {name!r} {tried}, though a day was let pass.",
            where=f"mail.{name}",
            clause=("mail", name),
        )

    return Case(name=f"{name}: provider {outage}", play=play, cause="outage")


GUARANTEE = Guarantee(
    doc=__doc__,
    code="MAIL050",
    catalogue="P50",
    severity=Severity.HIGH,
    promise="While the mail provider is down requests succeed, and every accepted mail arrives once it is back.",
    why="Invitations, receipts and reset links vanish during every hiccup of the provider, and nobody knows whose.",
    do="Write the mail into an outbox in the transaction that causes it, and let a worker deliver it with back-off.",
    do_not="Do not catch the error and log it, and do not retry inside the request.",
    subjects=mails,
    rehearse=rehearse,
    weight=4,
)
