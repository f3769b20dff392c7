"""A purchase whose events wait to be delivered, and the words in which a promise about them is said.

Every promise about a webhook is a relation: *delivered twice = delivered once*, *crashed and redelivered = delivered
once*, *in any order = in order*. ``Bought`` knows what one undisturbed delivery leaves behind, in the database, at the
provider and in mailboxes, and says how another run differs from it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from holdtrue.guarantees.base import Case, Harm, Untried
from holdtrue.guarantees.payments.following import following, note_refusal
from holdtrue.guarantees.payments.journeys import journeys
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.crew import FIRST
from holdtrue.stage.database import Difference
from holdtrue.stage.payments import Delivery, Event
from holdtrue.stage.play import HOME, deliver, deliver_event, deliver_until_taken, deliver_well, purchase
from holdtrue.stage.relation import Relation
from holdtrue.stage.scene import Scene, Seen
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed
from holdtrue.stage.wire import Statement

NEUTRAL = ("tax.settings.updated", {"id": "txs_1", "object": "tax.settings"})
"""An event that hardly any app acts on."""
SOON, LATE = 2.0, 65.0
"""Seconds for who tries again soon: rows can be aged, but what they are compared with at the provider cannot; and for
whoever waits to be told and was not: the timer it then goes by is in memory, and rings each minute."""
MOST_IN_VAIN = 3
"""How often who may try again soon is waited for in vain, for each kind of disturbance."""
LEASE = 3_600.0
"""Seconds that pass before a verdict: the lease of a dead worker may have to run out first."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One event of a purchase, or one that follows from it, delivered undisturbed, and what came of it."""

    index: int
    """Its place among the purchase's events; those that follow from them count on."""
    event: Event
    before: Scene
    """Bought, and the events before this one delivered."""
    seen: Seen
    answered: float
    """When it was answered, on the clock of the statements: what was said later was said behind the answer."""

    @property
    def rows(self) -> Difference | None:
        """What it changed; nothing for an event that the app only takes note of."""
        return self.seen.rows or None

    @property
    def behind(self) -> list[Statement]:
        """What was written behind the answer."""
        return [each for each in self.seen.statements if each.writes and each.at > self.answered]


@dataclass(kw_only=True)
class Bought:
    """A purchase, up to the events that the provider then has for the app."""

    stage: Stage
    webhook: str
    journey: str
    scene: Scene
    events: list[Event]
    had: int
    """How many events there were at the provider when it was bought."""
    woken: bool = False
    """Whether somebody does the work behind the answer who is told of it, and is not heard to look for it."""
    in_vain: Counter[object] = field(init=False, default_factory=Counter)
    """How often a kind of disturbance was followed by a wait in vain."""
    remembers: bool = False
    """Whether the processes remember events that the database no longer knows of: then each run needs new ones."""
    relation: Relation = field(init=False)
    steps: list[Step] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """What it is compared with is played by itself."""
        self.relation = Relation(self.stage, self._undisturbed)

    @property
    def name(self) -> str:
        """As the document says it."""
        return f"{self.webhook}.{self.journey}"

    @property
    def types(self) -> str:
        """The events, for a sentence."""
        return ", ".join(event.type for event in self.events)

    def after(self, step: Step) -> list[Event]:
        """The events that come after one."""
        return self.events[step.index + 1 :]

    @property
    def clause(self) -> tuple[str, ...]:
        """The promise in the document."""
        return ("webhooks", self.webhook, "journeys", self.journey)

    # -- doing ------------------------------------------------------------------------------------------------------

    async def begin(self, scene: Scene, *, anew: bool = True) -> None:
        """Go back to a scene, in processes that know nothing of later ones; unless ``anew``, stay where all is so."""
        if self.remembers:
            await self.stage.restart()
        await (self.stage.reset(scene) if anew else self.stage.fresh(scene))

    async def deliver(self, event: Event, *, process: str = FIRST, note: str = "") -> list[Answer]:
        """Deliver one event, and redeliver it as the provider does until it is taken; return every answer."""
        return await deliver_until_taken(self.stage, self.webhook, event, process=process, note=note)

    async def deliver_once(self, event: Event, *, note: str = "") -> Answer:
        """Deliver one event, whatever comes of it."""
        return await deliver_event(self.stage, self.webhook, event, note=note)

    async def in_order(self, events: Iterable[Event] | None = None) -> None:
        """Deliver events, or all, each once, and what follows; raises StepFailedError where one is not taken."""
        for event in self.events if events is None else events:
            await deliver_well(self.stage, self.webhook, event)
        await self.stage.rest()
        await self.follow()

    async def follow(self) -> None:
        """Deliver the events that the app's own calls have caused at the provider, and what these cause in turn.

        Raises:
            StepFailedError: there is no end to them.
        """
        async for event in self._following():
            answers = await self.deliver(event, note="a call of the app's own caused it")
            note_refusal(self.stage, self.webhook, event, answers[-1])
            await self.stage.rest()

    def _following(self) -> AsyncIterator[Event]:
        return following(self.stage, self.webhook, self.had)

    # -- telling ----------------------------------------------------------------------------------------------------

    def same(
        self, name: str, play: Callable[[], Awaitable[str]], *, start: Scene | None = None, cause: str = ""
    ) -> Case:
        """*This = delivered once*: a case that plays something, which returns what was done in words, and compares.

        It begins when everything is bought and nothing delivered, or at another ``start``. Nothing is compared where it
        returns no words: what is as it was before has no outcome yet.
        """
        return Case(
            name=f"{self.name}: {name}", play=partial(self._same, play, start or self.scene), cause=cause or self.name
        )

    async def _same(self, play: Callable[[], Awaitable[str]], start: Scene) -> Harm | None:
        await self.begin(start)
        told = await play()
        if not told:
            return None
        differences = await self.settled(getattr(play, "func", play))
        return self.harm(told, differences) if differences else None

    async def believed(
        self, step: Step, deliver_as: Callable[[Event], Delivery], words: str, so_what: str
    ) -> Harm | None:
        """Deliver an event in a way in which it must not be believed; harm is that it changes something.

        What such a delivery of an event that means nothing leaves behind (a log of deliveries) is no harm.
        """
        await self.begin(step.before, anew=False)
        async with self.stage.watch() as ignored:
            neutral = deliver_as(self.stage.payments.emit(*NEUTRAL))
            await deliver(self.stage, self.webhook, neutral, note=f"an event that means nothing, {words}")
        async with self.stage.watch() as seen:
            answer = await deliver(self.stage, self.webhook, deliver_as(step.event), note=words)
        changed = set(seen.rows.tables if seen.rows else ()) - set(ignored.rows.tables if ignored.rows else ())
        if not changed:
            return None
        done = f"was answered {answer.describe()} and changed {listed(changed)}"
        return Harm(
            seen=f"A {step.event.type} {words} {done}. {so_what}",
            where=self.stage.document.webhooks[self.webhook].route,
            clause=("webhooks", self.webhook),
        )

    async def settled(self, played: object) -> list[str]:
        """What is otherwise than after one undisturbed delivery, now and when leases and timers have run out.

        What was written before they ran out has aged since, and what was written afterwards has not; nor has what the
        provider says. So in the end a cell is otherwise only where it differs from both: from a delivery that was
        processed before time passed, and from one that was processed now. ``played``: of what kind the disturbance was.
        """
        await self.stage.rest()
        await self.follow()
        if not (await self.relation.expected()).differences(await self.relation.state()):
            return []
        if self.in_vain[played] < (1 if self.woken else MOST_IN_VAIN):
            if await self._comes_back():
                return []
            self.in_vain[played] += 1
        await self.stage.age(LEASE)
        await self.stage.rest()
        await self.follow()
        late = await self.relation.state()
        if self.woken:
            await self.stage.restart()  # whoever gave up, or still sits out a timer, would do nothing of the next run
        aged = (await self.relation.expected(LEASE)).differences(late)
        return _in_both(aged, (await self.relation.expected()).differences(late))

    async def _comes_back(self) -> bool:
        """Wait for who comes back to the work by itself; whether all is then as it should be."""
        clock = asyncio.get_running_loop().time
        end = clock() + (LATE if self.woken else SOON)
        while await self.stage.stirs(end - clock()):
            await self.stage.rest()
            if not (await self.relation.expected()).differences(await self.relation.state()):
                return True
        return False

    async def settled_after_a_lease(self, step: Step) -> list[str]:
        """The same, where a lease has run out between an event's delivery and its processing."""
        await self.stage.rest()
        await self.follow()
        late = await self.relation.state()
        before = (await self.relation.expected(LEASE)).differences(late)
        if not before:
            return []
        after = await self.relation.alike(partial(self._processed_late, step)).expected()
        return _in_both(before, after.differences(late))

    async def _processed_late(self, step: Step) -> None:
        await self.begin(step.before)
        await deliver_well(self.stage, self.webhook, step.event)  # the worker is parked: it is given time off first
        await self.stage.age(LEASE)
        await self.stage.rest()
        await self.in_order(self.after(step))

    # -- learning ---------------------------------------------------------------------------------------------------

    async def _undisturbed(self) -> None:
        await self.begin(self.scene)
        await self.in_order()

    async def _observe(self) -> None:
        """Deliver event by event, and keep what came of each and where it began."""
        await self.begin(self.scene)
        self.steps.clear()
        before = self.scene
        for index, event in enumerate(self.events):
            if index:
                before = await self.stage.save(self.scene)
            async with self.stage.watch() as seen:
                await deliver_well(self.stage, self.webhook, event)
                answered = asyncio.get_running_loop().time()
            self._note(Step(index=index, event=event, before=before, seen=seen, answered=answered))
        async for event in self._following():
            before = await self.stage.save(self.scene)
            async with self.stage.watch() as seen:
                answers = await self.deliver(event)
                answered = asyncio.get_running_loop().time()
            note_refusal(self.stage, self.webhook, event, answers[-1])
            if answers[-1].admitted:
                self._note(Step(index=len(self.steps), event=event, before=before, seen=seen, answered=answered))

    def _note(self, step: Step) -> None:
        self.woken |= any(not self.stage.quiet.is_polling(each.process) for each in step.behind)
        self.steps.append(step)

    async def observe(self) -> None:
        """See what undisturbed deliveries leave behind, together and one by one."""
        await self.relation.begin()
        await self._observe()

    async def learn(self) -> None:
        """See it once more; raises StepFailedError where it differs.

        It may, because a process remembers the events of the run before: then in new ones.
        """
        differences = await self.relation.learn()
        if differences:
            self.remembers = True
            self.relation = Relation(self.stage, self._undisturbed)
            await self.observe()
            differences = await self.relation.learn()
        if differences:
            raise StepFailedError(f"two undisturbed runs differ: {'; '.join(differences[:3])}", where=self.name)

    def harm(self, told: str, differences: list[str]) -> Harm:
        """Say what was done and what it left behind."""
        return Harm(
            seen=f"{told}. The outcome differs from one undisturbed delivery: {'; '.join(differences[:4])}.",
            where=self.stage.document.webhooks[self.webhook].route,
            clause=self.clause,
        )


def _in_both(first: list[str], second: list[str]) -> list[str]:
    """The differences from one state whose cells differ from another, too."""
    otherwise = set(map(_cell, second))
    return [difference for difference in first if _cell(difference) in otherwise]


def _cell(difference: str) -> str:
    """What a difference is about, without the values of a single cell."""
    return difference.rpartition(": ")[0] if " ≠ " in difference else difference


async def purchases(stage: Stage) -> list[Bought | Untried]:
    """Every purchase that the document tells, bought and learned; once for each stage."""
    return await stage.once(purchases, partial(_learn_purchases, stage))


async def _learn_purchases(stage: Stage) -> list[Bought | Untried]:
    """First each once, then each again: meanwhile the time passes that there has to be between two runs."""
    observed = [await _observed(stage, *each) for each in journeys(stage.document)]
    return [each if isinstance(each, Untried) else await _learned(each) for each in observed]


async def _observed(stage: Stage, webhook: str, journey: str) -> Bought | Untried:
    try:
        await stage.reset()
        events = await purchase(stage, webhook, journey, HOME, {})
        scene, had = await stage.save(), len(stage.payments.events)
        bought = Bought(stage=stage, webhook=webhook, journey=journey, scene=scene, events=events, had=had)
        await bought.observe()
    except StepFailedError as error:
        return Untried(subject=f"{webhook}.{journey}", reason=str(error))
    return bought


async def _learned(bought: Bought) -> Bought | Untried:
    try:
        await bought.learn()
    except StepFailedError as error:
        return Untried(subject=bought.name, reason=str(error))
    return bought
