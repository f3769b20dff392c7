"""Refresh token exchanged twice at once.

What production does
--------------------
Two tabs wake up together and renew the session with the same refresh token, within a millisecond and at two processes.
A thief who knows that a second use is noticed sends the stolen token twice at once.

Why apps break here
-------------------
The app reads whether the token was used, decides, and writes that it was. Between the question and the write there is
room for the other request, and both are given a token of their own: two sessions, of which neither is ever found out.

Wrong
-----
    row = db.scalar(select(RefreshToken).where(RefreshToken.hash == sha256(token)))
    if row is None or row.used:
        raise HTTPException(401)
    row.used = True
    db.commit()
    return new_pair(row.user_id)

Right
-----
    used = update(RefreshToken).where(RefreshToken.hash == sha256(token), RefreshToken.used_at.is_(None))
    user_id = db.scalar(used.values(used_at=func.now()).returning(RefreshToken.user_id))
    if user_id is None:
        raise HTTPException(401)

Sources: RFC 9700 §4.14.2. To answer both with the identical pair is allowed, as for a retry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from holdtrue.contract.document import Refresh
from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.auth016_refresh_token_used_twice import CLAUSE, Session
from holdtrue.guarantees.base import Case, Guarantee, Harm, Tried, Unsampled, Untried
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST, SECOND
from holdtrue.stage.play import HOME, answered
from holdtrue.stage.scene import Scene
from holdtrue.stage.schedules import Act, Exploration, Schedule, Stops, play
from holdtrue.stage.steps import StepFailedError

ONE_AFTER_THE_OTHER = Schedule(((0, None), (1, None)))


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Exchanged at two processes at once, in every interleaving = one session goes on, or none.*"""
    told = stage.document.refresh
    if told is None:
        return
    try:
        race = await _ready(stage, told)
    except StepFailedError as error:
        yield Untried(subject="refresh", reason=str(error))
        return
    exploration = Exploration(race.stops, race.stops, alike=True, seed=stage.setting.seed)
    yield race.case(ONE_AFTER_THE_OTHER)
    for schedule in exploration:
        yield race.case(schedule, exploration)
    yield Unsampled(count=exploration.left)


async def _ready(stage: Stage, told: Refresh) -> Race:
    """Sign in, keep that moment, and see what one exchange alone does: the positive twin.

    Raises:
        StepFailedError: the session cannot be renewed.
    """
    await stage.reset()
    session = Session(stage, told)
    await session.login()
    start = await stage.save()
    async with stage.watch(rest=False) as seen:
        _, tokens = await session.exchange(session.tokens[0])
    if "access_token" not in tokens or not await session.opens(str(tokens["access_token"])):
        raise StepFailedError("a fresh refresh token brings no access token that opens the probe", where=told.probe)
    return Race(session=session, start=start, stops=Stops.of(seen.statements, FIRST))


@dataclass(frozen=True, kw_only=True)
class Race:
    """One session, signed in and not renewed yet."""

    session: Session
    start: Scene
    stops: Stops

    def case(self, schedule: Schedule, exploration: Exploration | None = None) -> Case:
        """Both exchange the same token, in an order of our choosing."""

        async def once() -> Harm | None:
            return await self._play(schedule, exploration)

        return Case(name=f"twice at once, {schedule}", play=once, cause="refresh")

    async def _play(self, schedule: Schedule, exploration: Exploration | None) -> Harm | None:
        session, stage = self.session, self.session.stage
        await stage.reset(self.start)
        await stage.web(SECOND)
        acts = (self._act(FIRST), self._act(SECOND))
        played = await play(stage, schedule, acts, (self.stops, self.stops))
        if exploration is not None:
            exploration.note(schedule, played)
        brought = [str(token) for answer in played.answers if (token := self._renewed(answer)) is not None]
        living = [token for token in dict.fromkeys(brought) if await self._lives(token)]
        # What it brought has been exchanged by now: no grace for a lost answer covers the token that was sent.
        again = bool(living) and await self._lives(session.tokens[0])
        if len(living) + again < len(acts):
            return None
        answers = " and ".join(answer.describe() for answer in played.answers)
        both = "what both brought was exchanged in turn"
        goes_on = both if len(living) > 1 else "what it brought was exchanged, and after that the first token once more"
        return Harm(
            seen=f"One refresh token was sent to two processes at once ({schedule}), which answered {answers}. Then "
            f"{goes_on}; each opens {session.told.probe}: one sign-in has become two sessions.",
            where=session.told.step.request,
            clause=CLAUSE,
        )

    def _act(self, process: str) -> Act:
        session, stage = self.session, self.session.stage
        view = stage.cast.view(session.who, HOME, {"refresh_token": session.tokens[0]})

        async def send() -> Answer:
            port = (await stage.web(process)).port
            answer = await stage.player.send(session.told.step, sender=None, tenant=HOME, view=view, port=port)
            return answered(answer, session.told.step.request)

        return Act(process=process, send=send)

    def _renewed(self, answer: Answer) -> object | None:
        """The refresh token that an answer brings."""
        where = self.session.told.step.capture.get("refresh_token")
        token = answer.capture(where) if answer.succeeded and where is not None else None
        if token is not None:
            self.session.stage.redactor.learn_all({"refresh_token": token})
        return token

    async def _lives(self, token: str) -> bool:
        """Whether a refresh token is exchanged for one that opens the probe."""
        _, tokens = await self.session.exchange(token)
        return "access_token" in tokens and await self.session.opens(str(tokens["access_token"]))


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH017",
    catalogue="T17",
    severity=Severity.HIGH,
    promise="A refresh token sent to two processes at once leaves at most one session that goes on.",
    why="Theft is noticed by the second use of a token; whoever sends it twice at once is never noticed.",
    do="Mark the token used in one UPDATE that asks for an unused one, or lock its row before you look.",
    do_not="Do not use a lock in the process's memory, nor look a second time before the commit: others look, too.",
    subjects=lambda document: ["refresh"] if document.refresh else [],
    rehearse=rehearse,
    weight=2,
)
