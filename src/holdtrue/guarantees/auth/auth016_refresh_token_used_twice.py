"""Refresh token that works after it was used.

What production does
--------------------
A refresh token leaks: from a log, a backup, a stolen laptop. Then two parties hold it, and the app cannot tell which
one is its user. The only sign is that a token which was already exchanged comes a second time.

Why apps break here
-------------------
Refresh tokens are often stateless: whatever verifies is exchanged, as often as anybody likes. Or the old one is marked
as used, but the family that came of it lives on, so that the thief who was first keeps the session.

Wrong
-----
    @router.post("/auth/refresh")
    def refresh(body: RefreshIn):
        return token_pair(read_token(body.refresh_token)["sub"])

Right
-----
    row = db.scalar(
        update(RefreshToken)
        .where(RefreshToken.hash == sha256(body.refresh_token), RefreshToken.used_at.is_(None), family_is_live)
        .values(used_at=func.now()).returning(RefreshToken)
    )
    if row is None:
        revoke_family(db, body.refresh_token)
        db.commit()  # the revocation must outlive the error
        raise HTTPException(401)

Sources: RFC 9700 §2.2.2 and §4.14.2, ASVS 5.0 10.4.5. A short grace window that answers a retry of the newest token
with the identical pair is allowed; it does not cover older tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.document import Refresh, Request
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import HOME, answered
from holdtrue.stage.steps import StepFailedError

CLAUSE = ("refresh", "step")


class Session:
    """One signed-in session of the rehearsal's own, and its tokens so far."""

    def __init__(self, stage: Stage, told: Refresh) -> None:
        self.stage = stage
        self.told = told
        self.who: Who = stage.cast.who(told.principal, HOME)
        self.tokens: list[str] = []
        self.access = ""

    async def login(self) -> None:
        """Sign in; raises StepFailedError."""
        found: dict[str, object] = {}
        await self.stage.player.play(self.told.login, who=self.who, tenant=HOME, extra=found)
        self.tokens = [str(found["refresh_token"])]
        self.access = str(found["access_token"])

    async def exchange(self, token: str) -> tuple[Answer, dict[str, object]]:
        """Send a refresh token; return the answer and the tokens in it, if any. Raises StepFailedError without one."""
        view = self.stage.cast.view(self.who, HOME, {"refresh_token": token})
        answer = await self.stage.player.send(self.told.step, sender=None, tenant=HOME, view=view)
        answered(answer, self.told.step.request)
        found = {name: answer.capture(where) for name, where in self.told.step.capture.items()}
        tokens = {name: value for name, value in found.items() if value} if answer.succeeded else {}
        self.stage.redactor.learn_all(tokens)
        return answer, tokens

    async def renew(self) -> None:
        """Exchange the newest token, as an honest client does; raises StepFailedError."""
        answer, tokens = await self.exchange(self.tokens[-1])
        if "access_token" not in tokens:
            raise StepFailedError(f"a fresh refresh token was answered {answer.describe()}", where="refresh.step")
        self.access = str(tokens["access_token"])
        self.tokens.append(str(tokens.get("refresh_token", self.tokens[-1])))

    async def opens(self, access: str) -> bool:
        """Whether an access token opens the probe route."""
        self.stage.cast.knowledge.principals[self.who]["access_token"] = access
        view = self.stage.cast.view(self.who, HOME)
        answer = await self.stage.player.send(Request(request=self.told.probe), sender=self.who, tenant=HOME, view=view)
        return answer.admitted


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Renew twice, then send the first token again; the session that came of it must end, too."""
    told = stage.document.refresh
    if told is None:
        return
    await stage.reset()
    session = Session(stage, told)
    try:
        await session.login()
        await session.renew()
        await session.renew()
        if not await session.opens(session.access):
            raise StepFailedError("a renewed access token does not open the probe route", where=told.probe)
    except StepFailedError as error:
        yield Untried(subject="refresh", reason=str(error))
        return
    yield Case(name="an exchanged token is sent again", play=partial(_again, stage, told), cause="refresh")
    yield Case(name="the session goes on after a reuse", play=partial(_family, stage, told), cause="refresh")


async def _renewed(stage: Stage, told: Refresh) -> Session:
    await stage.reset()
    session = Session(stage, told)
    await session.login()
    await session.renew()
    await session.renew()
    return session


async def _again(stage: Stage, told: Refresh) -> Harm | None:
    session = await _renewed(stage, told)
    answer, tokens = await session.exchange(session.tokens[0])
    if "access_token" not in tokens or not await session.opens(str(tokens["access_token"])):
        return None
    return Harm(
        seen=f"A refresh token that was exchanged two renewals ago was sent again: answered {answer.describe()} with "
        f"new tokens, and they open {told.probe}. Whoever copied it once stays signed in beside its owner.",
        where=told.step.request,
        clause=CLAUSE,
    )


async def _family(stage: Stage, told: Refresh) -> Harm | None:
    session = await _renewed(stage, told)
    await session.exchange(session.tokens[0])
    answer, tokens = await session.exchange(session.tokens[-1])
    if "access_token" not in tokens or not await session.opens(str(tokens["access_token"])):
        return None
    return Harm(
        seen="A used refresh token came a second time, a sure sign of theft; yet the newest token of the same session "
        f"was then answered {answer.describe()} with new tokens. A thief who was first keeps the session.",
        where=told.step.request,
        clause=CLAUSE,
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH016",
    catalogue="T16",
    severity=Severity.HIGH,
    promise="A refresh token works once; if it comes again, it is refused and the session that came of it ends.",
    why="A refresh token that leaked once opens a customer's account for as long as the thief cares to use it.",
    do="Store each token's hash, mark it used in one UPDATE, and revoke its whole family when it comes again.",
    do_not="Do not only shorten its life: a stolen token is exchanged within seconds.",
    subjects=lambda document: ["refresh"] if document.refresh else [],
    rehearse=rehearse,
)
