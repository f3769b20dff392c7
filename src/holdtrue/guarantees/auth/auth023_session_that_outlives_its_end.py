"""Session that outlives its end.

What production does
--------------------
Somebody signs out on a shared computer, or changes the password because somebody else was in the account. Whoever
copied the token or the cookie before goes on using it.

Why apps break here
-------------------
Signing out deletes a cookie in the browser, and nothing on the server. An access token is believed until it expires,
whatever happened since. A new password replaces the hash and leaves every session and refresh token as it was.

Wrong
-----
    @router.post("/logout")
    def logout(response: Response):
        response.delete_cookie("session")

Right
-----
    @router.post("/logout", status_code=204)
    def logout(db: Database, session: CurrentSession):
        db.execute(update(Session).where(Session.id == session.id).values(revoked_at=func.now()))

    # and the guard of every route looks for a session that is not revoked, as does the refresh

Sources: ASVS 5.0 7.4.1 to 7.4.3, RFC 7009 §2.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial

from holdtrue.contract.document import Ending, Refresh
from holdtrue.contract.template import names
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import done
from holdtrue.guarantees.likeness import alike, tokens
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import HOME, answered, request_of
from holdtrue.stage.scene import Call, Twin
from holdtrue.stage.steps import Rendered, StepFailedError, meets


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each ending: the session opens the probe before, and neither its access nor its refresh token does after."""
    meant: dict[tuple[Who, str], Twin] = {}
    for name, ending in stage.document.endings.items():
        who = stage.cast.who(ending.principal, HOME)
        before = meant.get((who, ending.probe))
        try:
            if before is None:
                before = meant[who, ending.probe] = await _before(stage, ending, who)
        except StepFailedError as error:
            yield Untried(subject=name, reason=str(error))
            continue
        yield Case(name=name, play=partial(_after, stage, name, ending, who, before), cause=name)


async def _before(stage: Stage, ending: Ending, who: Who) -> Twin:
    """The positive twin: the session opens the probe, and renewed it does, too; without it the probe is shut."""
    await stage.fresh()
    meant = await _sent(stage, _probe(stage, ending, who), who, ending)
    if not meets(stage.document.routes[ending.probe].expect, meant.answer):
        raise StepFailedError(f"{who} was answered {meant.answer.describe()} before the end", where=ending.probe)
    nobody = await _sent(stage, _probe(stage, ending, None), None, ending)
    if _opened(stage, nobody, meant):
        raise StepFailedError("it answers nobody just as it answers the session", where=ending.probe)
    told = stage.document.refresh
    if told is not None and _renews(stage, told, who):
        renewed = await _renewed(stage, told, ending, who, stage.cast.view(who, HOME))
        if renewed is None or not _opened(stage, renewed, meant):
            raise StepFailedError(
                "while the session lasts, its refresh token brings no token that opens the probe",
                where=told.step.request,
            )
    stage.setting.reached.add(ending.probe)
    return meant


async def _after(stage: Stage, name: str, ending: Ending, who: Who, meant: Twin) -> Harm | None:
    await stage.reset()
    probe, view = _probe(stage, ending, who), dict(stage.cast.view(who, HOME))  # the credentials as they are now
    await stage.player.play(ending.steps, who=who, tenant=HOME, extra={}, default=who)
    await stage.rest()
    clause = ("endings", name)
    if harm := _opened(stage, await _sent(stage, probe, who, ending), meant):
        return Harm(
            seen=f"After `{name}`, what {who} had been signed in with was used for {ending.probe}: {harm}.",
            where=ending.probe,
            clause=clause,
        )
    told = stage.document.refresh
    if told is None or not _renews(stage, told, who):
        return None
    renewed = await _renewed(stage, told, ending, who, view)
    harm = _opened(stage, renewed, meant) if renewed is not None else None
    if harm is None:
        return None
    return Harm(
        seen=f"After `{name}`, the refresh token {who} had before brought new tokens, and with these {ending.probe} "
        f"was asked: {harm}.",
        where=told.step.request,
        clause=clause,
    )


def _renews(stage: Stage, told: Refresh, who: Who) -> bool:
    """Whether this principal's session has a refresh token, and what that brings is what its requests carry."""
    principal = stage.cast.principal(who)
    carried = {name for text in (*principal.headers.values(), *principal.cookies.values()) for name in names(text)}
    return "refresh_token" in stage.cast.knowledge.principals.get(who, {}) and bool(carried & set(told.step.capture))


async def _renewed(stage: Stage, told: Refresh, ending: Ending, who: Who, view: Mapping[str, object]) -> Twin | None:
    """Exchange a refresh token and ask the probe with what it brings; None when it brings nothing."""
    answer = answered(await stage.player.send(told.step, sender=None, tenant=HOME, view=view), told.step.request)
    found = {name: value for name, where in told.step.capture.items() if (value := answer.capture(where)) is not None}
    if not answer.succeeded or not found:
        return None
    stage.redactor.learn_all(found)
    known = stage.cast.knowledge.principals[who]
    before = dict(known)
    known.update(found)
    probe = _probe(stage, ending, who)
    known.update(before)  # the scene's own tokens go on
    return await _sent(stage, probe, who, ending)


def _probe(stage: Stage, ending: Ending, sender: Who | None) -> Rendered:
    principal = stage.cast.who(ending.principal, HOME)
    route = stage.document.routes[ending.probe]
    ready = Call(key=ending.probe, route=route, tenant=HOME, principal=principal, variables={"unique": "u0"})
    return request_of(stage, ready, sender=sender, at=HOME)


async def _sent(stage: Stage, probe: Rendered, who: Who | None, ending: Ending) -> Twin:
    async with stage.watch(rest=False) as seen:
        answer = await stage.player.send_rendered(probe, sender=who)
    return Twin(answer=answered(answer, ending.probe), rows=seen.rows)


def _opened(stage: Stage, now: Twin, meant: Twin) -> str | None:
    """Say how the probe was open, or None: a page that says 200 and asks to sign in is shut."""
    if harm := done(stage, now.answer, now.rows, meant, HOME):
        return harm
    answer: Answer = now.answer
    if answer.admitted and answer.body and alike(tokens(answer), tokens(meant.answer)):
        return f"it was answered {answer.describe()} just as before"
    return None


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH023",
    catalogue="T23",
    severity=Severity.HIGH,
    promise="After a sign-out, a new password or whatever else ends a session, no token of it opens anything.",
    why="The one thing people can do against a thief in their account, signing out or a new password, does nothing.",
    do="Keep sessions in the database, revoke them at the end, and have the guard and the refresh look for a live one.",
    do_not="Do not delete only the cookie: whoever copied it has it still.",
    subjects=lambda document: list(document.endings),
    rehearse=rehearse,
)
