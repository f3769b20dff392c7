"""Refunds that race each other.

What production does
--------------------
Two people refund the same order, or one clicks twice. Both requests read how much was given back so far, before either
has written its share.

Why apps break here
-------------------
What is left to refund is read, compared and written without a lock. One request after the other is right, and so is
every test.

Wrong
-----
    if order.refunded + amount <= order.total:
        stripe.Refund.create(payment_intent=order.intent, amount=amount)
        order.refunded += amount

Right
-----
    order = db.scalar(select(Order).where(Order.id == order_id).with_for_update())
    if order.refunded + amount > order.total:
        raise HTTPException(409)
    db.add(Refund(order=order, amount=amount))  # pending and unknown ones count, too
    order.refunded += amount
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Unsampled, Untried
from holdtrue.guarantees.payments.bought import LEASE
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST, SECOND
from holdtrue.stage.play import HOME, answered, make_ready, request_of, sender_of
from holdtrue.stage.relation import Relation
from holdtrue.stage.scene import Call, Scene
from holdtrue.stage.schedules import Act, Exploration, Schedule, Stops, play
from holdtrue.stage.steps import Rendered, StepFailedError

CHANGING = ("POST", "PUT", "PATCH", "DELETE")
SHARES = {"small": 0.4, "large": 0.6}
"""Of what was paid: two small refunds are right, of two large ones the second is too much."""


@dataclass(frozen=True, kw_only=True)
class Refunding:
    """A route that gives money back, made ready to be called."""

    stage: Stage
    ready: Call
    scene: Scene
    """Paid, and nothing given back."""
    paid: int
    """Minor units of the currency."""
    given: int
    """What the route gives back as the document calls it."""
    stops: Stops

    def request(self, amount: int | None) -> Rendered:
        """The route's request, with another amount where the body says one."""
        rendered = request_of(self.stage, self.ready, sender=sender_of(self.stage, self.ready), at=HOME)
        if amount is None:
            return rendered
        return replace(rendered, json_body=_with_amount(rendered.json_body, self.given, amount))

    async def send(self, amount: int | None, process: str = FIRST) -> Answer:
        """Send it to a process; raises StepFailedError without an answer."""
        port = (await self.stage.web(process)).port
        sender = sender_of(self.stage, self.ready)
        answer = await self.stage.player.send_rendered(self.request(amount), sender=sender, port=port)
        return answered(answer, self.ready.key)

    def amounts(self) -> dict[str, int | None]:
        """How much is refunded twice at once: where the body says no amount, whatever the route gives back."""
        body = request_of(self.stage, self.ready, sender=sender_of(self.stage, self.ready), at=HOME).json_body
        if not any(leaf == self.given for leaf in _leaves(body)):
            return {"whole": None}
        return {name: int(self.paid * share) for name, share in SHARES.items()}


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """*Two refunds at once, in every interleaving = one after the other*, for each route that gives money back."""
    found = False
    for key, route in stage.document.routes.items():
        if route.after is None or not key.startswith(CHANGING):
            continue
        try:
            refunding = await _refunding(stage, key)
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))
            continue
        if refunding is None:
            continue
        found = True
        try:
            one_by_one = await _learn(refunding)
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))
            continue
        for name, amount in refunding.amounts().items():
            race = _Race(refunding, amount, one_by_one)
            exploration = Exploration(refunding.stops, refunding.stops, alike=True, seed=stage.setting.seed)
            for schedule in exploration:
                yield Case(
                    name=f"{key} twice at once ({name}), {schedule}",
                    play=partial(race.play, schedule, exploration),
                    cause=key,
                )
            yield Unsampled(count=exploration.left)
    if not found:
        yield Absent(reason="no route that follows a purchase gives money back")


async def _refunding(stage: Stage, key: str) -> Refunding | None:
    """Call the route once; None where it gives no money back."""
    await stage.reset()
    ready = await make_ready(stage, key)
    scene = await stage.save()
    before = len(stage.payments.all("refund"))
    sender = sender_of(stage, ready)
    async with stage.watch() as seen:
        request = request_of(stage, ready, sender=sender, at=HOME)
        answer = answered(await stage.player.send_rendered(request, sender=sender), key)
    made = stage.payments.all("refund")[before:]
    if not answer.succeeded or not made:
        return None
    charge = next(each for each in stage.payments.all("charge") if each["id"] == made[0]["charge"])
    return Refunding(
        stage=stage,
        ready=ready,
        scene=scene,
        paid=charge["amount_captured"],
        given=made[0]["amount"],
        stops=Stops.of(seen.statements, FIRST),
    )


async def _learn(refunding: Refunding) -> Relation:
    """What is noise between two runs of one refund."""

    async def once() -> None:
        await _in_a_row(refunding, [None])

    relation = Relation(refunding.stage, once)
    await relation.begin()
    await refunding.stage.web(SECOND)  # it takes about the time that has to pass
    if differences := await relation.learn():
        raise StepFailedError(f"two undisturbed runs differ: {'; '.join(differences[:3])}", where=refunding.ready.key)
    return relation


async def _in_a_row(refunding: Refunding, amounts: list[int | None]) -> list[Answer]:
    await refunding.stage.reset(refunding.scene)
    answers = []
    for amount in amounts:
        answers.append(await refunding.send(amount))
        await refunding.stage.rest()
    return answers


class _Race:
    """The same refund twice at once, compared with as many in a row as were admitted."""

    def __init__(self, refunding: Refunding, amount: int | None, relation: Relation) -> None:
        self._refunding = refunding
        self._amount = amount
        self._stage = refunding.stage
        self._in_a_row = {count: relation.alike(self._times(count)) for count in (0, 1, 2)}
        self._admitted: int | None = None

    def _times(self, count: int) -> Callable[[], Awaitable[None]]:
        async def scenario() -> None:
            answers = await _in_a_row(self._refunding, [self._amount] * count)
            if count == 2:
                self._admitted = sum(answer.admitted for answer in answers)

        return scenario

    async def play(self, schedule: Schedule, exploration: Exploration) -> Harm | None:
        stage, refunding = self._stage, self._refunding
        if self._admitted is None:
            for relation in self._in_a_row.values():
                await relation.expected()
        await stage.web(SECOND)
        await stage.reset(refunding.scene)
        calls = len(stage.payments.calls)
        acts = (self._act(FIRST), self._act(SECOND))
        played = await play(stage, schedule, acts, (refunding.stops, refunding.stops))
        exploration.note(schedule, played)
        for answer in played.answers:
            answered(answer, refunding.ready.key)
        await stage.rest()
        admitted = sum(answer.admitted for answer in played.answers)
        asked = _asked(stage, calls)
        if admitted > (self._admitted or 0) and asked <= refunding.paid:
            return None  # it took both, and did not give back more than was paid: it refuses later than at the door
        differences = await self._differences(admitted)
        if not differences:
            return None
        return self._harm(schedule, played.answers, asked, differences)

    def _act(self, process: str) -> Act:
        return Act(process=process, send=partial(self._refunding.send, self._amount, process))

    async def _differences(self, admitted: int) -> list[str]:
        """What is otherwise than after as many in a row, now and when timers have run out."""
        relation = self._in_a_row[admitted]
        if not (await relation.expected()).differences(await relation.state()):
            return []
        await self._stage.age(LEASE)
        await self._stage.rest()
        late = await relation.state()
        return (await relation.expected(LEASE)).differences(late)

    def _harm(self, schedule: Schedule, answers: tuple[Answer, Answer], asked: int, differences: list[str]) -> Harm:
        told = " and ".join(answer.describe() for answer in answers)
        amount = f" of {self._amount}" if self._amount is not None else ""
        much = f" The provider was asked for {asked} of {self._refunding.paid}." if asked else ""
        return Harm(
            seen=f"Two refunds{amount} were asked for at once ({schedule}) and answered {told}.{much} The outcome "
            f"differs from one after the other: {'; '.join(differences[:4])}.",
            where=self._refunding.ready.key,
            clause=("routes", self._refunding.ready.key),
        )


def _asked(stage: Stage, since: int) -> int:
    """How much the provider was asked to give back, each idempotency key once; a refused request was asked for, too."""
    asked: dict[str, int] = {}
    for call in stage.payments.calls[since:]:
        if call.method == "POST" and call.path == "/v1/refunds":
            amount = str(call.parameters.get("amount", ""))
            asked[str(call.idempotency_key or call.request_id)] = int(amount) if amount.isdigit() else 0
    return sum(asked.values())


def _leaves(body: Any) -> Iterator[Any]:
    if isinstance(body, dict):
        for each in body.values():
            yield from _leaves(each)
    elif isinstance(body, list):
        for each in body:
            yield from _leaves(each)
    else:
        yield body


def _with_amount(body: Any, was: int, now: int) -> Any:
    """The body with one amount for another, wherever it stands."""
    if isinstance(body, dict):
        return {name: _with_amount(each, was, now) for name, each in body.items()}
    if isinstance(body, list):
        return [_with_amount(each, was, now) for each in body]
    return now if body == was and not isinstance(body, bool) else body


def _refunds(document: Document) -> list[str]:
    return [key for key, route in document.routes.items() if route.after is not None and key.startswith(CHANGING)]


GUARANTEE = Guarantee(
    doc=__doc__,
    code="PAY029",
    catalogue="P29",
    severity=Severity.CRITICAL,
    promise="Two refunds at once leave what one after the other leaves, in every interleaving of the two.",
    why="More money goes back than was paid, or the books forget a refund that the customer has received.",
    do="Lock the order's row, count pending refunds with the others, and write the new one before asking the provider.",
    do_not="Do not rely on the provider's limit: it knows what it gave back, and your books would not.",
    subjects=_refunds,
    rehearse=rehearse,
    weight=6,
)
