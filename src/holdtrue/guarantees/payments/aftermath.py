"""What follows a purchase, told by the provider: refunds, disputes, a subscription that changes and ends.

A ``Life`` is one object at the provider and what becomes of it, chapter by chapter. Played in order it shows what the
app makes of each chapter. Then the same news comes otherwise: *late = in time*, *in either order of one second = in
order*, *after the end = ended*. Harm is that a cell ends with the value that the older chapter gave it: the app has
forgotten the newer one. An app that asks the provider again, or compares versions, never does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from holdtrue.contract.document import Run
from holdtrue.contract.errors import HoldtrueError
from holdtrue.guarantees.base import Case, Harm
from holdtrue.guarantees.payments.bought import LEASE, Bought
from holdtrue.guarantees.payments.cells import Cell, Cells
from holdtrue.stage import Stage
from holdtrue.stage.payments import Event
from holdtrue.stage.play import HOME, REDELIVERIES
from holdtrue.stage.scene import Scene

APART = 2.0
"""Seconds between two chapters, as the provider's clock tells: it counts whole ones."""
CREATED = "customer.subscription.created"
Act = Callable[[], Sequence[Event]]


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """Something that happens to the object at the provider, and the events in which the provider tells of it."""

    told: str
    """For a sentence: ``the customer paid``."""
    act: Act


@dataclass(frozen=True, kw_only=True)
class Order:
    """In which order the news of two chapters comes; ``older`` 0 is the purchase itself."""

    older: int
    newer: int
    late: str = CREATED
    """Of the purchase, the type of event that comes late."""
    again: bool = False
    """Whether that one was delivered in time, too, and now comes again."""
    one_second: bool = False
    """Whether both happened within one second, so that their events' ``created`` are equal."""
    swapped: bool = True


@dataclass(kw_only=True)
class Life:
    """An object that a purchase left at the provider, and what becomes of it."""

    bought: Bought
    kind: str
    """What it is, in a word: ``subscription``, ``refund``."""
    chapters: list[Chapter]
    kept: Scene
    """Bought and delivered; nothing has followed yet."""
    states: list[Cells] = field(default_factory=list)
    """What the app has made of the purchase, and then of each chapter, when all came in order."""
    news: list[list[Event]] = field(default_factory=list)
    """The events of the purchase, and then of each chapter, of this order."""

    @property
    def stage(self) -> Stage:
        """Where it is played."""
        return self.bought.stage

    @property
    def name(self) -> str:
        """The purchase and what is made of it."""
        return f"{self.bought.name} {self.kind}"

    # -- in order ---------------------------------------------------------------------------------------------------

    async def learn(self) -> None:
        """Play it in order, and keep what the app makes of each chapter."""
        await self.bought.begin(self.kept)
        self.states, self.news = [await self.state()], [self.bought.events]
        for chapter in self.chapters:
            self.stage.payments.advance(APART)
            events = listened(self.bought, chapter.act())
            await take(self.bought, events)
            await self.stage.rest()
            await self.bought.follow()
            self.states.append(await self.state())
            self.news.append(events)

    async def state(self) -> Cells:
        """What has changed since the purchase was made, nothing of it told to the app."""
        return Cells.of(self.bought.scene.rows, await self.stage.rows(), self.stage.scene.catalog)

    def heeded(self, older: int, newer: int) -> frozenset[Cell]:
        """The cells by which the app tells the newer chapter from the older one; none when it does not heed it."""
        if not (self.news[older] and self.news[newer]):
            return frozenset()
        marks = {mark for news in self.news for event in news for mark in (event.id, event.type, event.created)}
        return self.states[older].moved(self.states[newer], marks)

    # -- otherwise --------------------------------------------------------------------------------------------------

    def otherwise(self, order: Order, name: str, *, cause: str, unless: Order | None = None) -> Case:
        """*In this order = in order*. No harm where the order ``unless`` does the same: that is another's promise."""
        return Case(name=f"{self.name}: {name}", play=partial(self._otherwise, order, unless), cause=cause)

    async def _otherwise(self, order: Order, unless: Order | None) -> Harm | None:
        wrong = await self._play(order)
        if not wrong or (unless is not None and await self._play(unless)):
            return None
        return self.harm(self._told(order), wrong)

    async def _play(self, order: Order) -> list[str]:
        bought, kept_late = self.bought, order.older == 0 and not order.again
        await bought.begin(bought.scene if kept_late else self.kept)
        news = self._happen(order) | {0: self._late(order)}
        if kept_late:
            await take(bought, [event for event in bought.events if event not in news[0]])
        for number in range(1, order.newer):
            if number != order.older:  # were its news lost, whoever looks for lost ones would mend the rest, too
                await take(bought, news[number])
        pair = [*news[order.older], *news[order.newer]]
        if order.swapped:
            pair = [*news[order.newer], *news[order.older]]
        await take(bought, await take_once(bought, pair))
        return await self.forgotten(order.older, order.newer)

    def _happen(self, order: Order) -> dict[int, list[Event]]:
        """Let everything happen at the provider, while the app hears of nothing yet."""
        news: dict[int, list[Event]] = {}
        payments = self.stage.payments
        with ExitStack() as second:
            for number, chapter in enumerate(self.chapters[: order.newer], start=1):
                if not (order.one_second and number == order.newer):
                    payments.advance(APART)
                if order.one_second and number == order.older:
                    second.enter_context(payments.world.clock.still())
                news[number] = listened(self.bought, chapter.act())
        return news

    async def forgotten(self, older: int, newer: int) -> list[str]:
        """What stands as the older chapter left it, and stays so, in words."""
        await self.stage.rest()
        await self.bought.follow()
        wrong = self._forgotten(await self.state(), older, newer)
        if not wrong:
            return []
        await self.stage.age(LEASE)
        await self.stage.rest()
        await reconcile(self.bought)
        await self.bought.follow()
        return self._forgotten(await self.state(), older, newer)

    def _forgotten(self, now: Cells, older: int, newer: int) -> list[str]:
        before, after = self.states[older], self.states[newer]
        return [
            f"{cell} is {now.told(cell)} instead of {after.told(cell)}"
            for cell in sorted(self.heeded(older, newer))
            if now.at(cell) == before.at(cell)
        ]

    def _told(self, order: Order) -> str:
        made = "it was made" if order.older == 0 else self.chapters[order.older - 1].told
        changed = self.chapters[order.newer - 1].told
        older = _types(self.news[order.older] if order.older else self._late(order))
        newer = _types(self.news[order.newer])
        moment = " in the same second" if order.one_second else ""
        told = f"Of one {self.kind}, first {made}, then{moment} {changed}. The app was told "
        if not order.swapped:
            return f"{told}of both in that order ({older}, then {newer})"
        return f"{told}of the second first ({newer}), and then{' again' if order.again else ''} of the first ({older})"

    def _late(self, order: Order) -> list[Event]:
        return [event for event in self.bought.events if event.type == order.late]

    def harm(self, told: str, wrong: Sequence[str]) -> Harm:
        """Say what was done, and what stands wrong in the end."""
        return Harm(
            seen=f"{told}. In the end {'; '.join(wrong[:3])}: the older news has won.",
            where=self.stage.document.webhooks[self.bought.webhook].route,
            clause=self.bought.clause,
        )

    def cause(self, what: str) -> str:
        """One finding for all purchases of a webhook."""
        return f"{self.bought.webhook}: {self.kind} {what}"


def _types(events: Iterable[Event]) -> str:
    return " and ".join(dict.fromkeys(event.type for event in events))


# -- delivering -------------------------------------------------------------------------------------------------------


def listened(bought: Bought, events: Iterable[Event]) -> list[Event]:
    """Those of the types that the endpoint is subscribed to."""
    types = bought.stage.document.webhooks[bought.webhook].events
    return [event for event in events if not types or event.type in types]


async def take_once(bought: Bought, events: Iterable[Event]) -> list[Event]:
    """Deliver events once, with a rest after each; return those that were refused."""
    refused = []
    for event in events:
        if not (await bought.deliver_once(event)).admitted:
            refused.append(event)
        await bought.stage.rest()
    return refused


async def take(bought: Bought, events: Iterable[Event]) -> list[Event]:
    """Deliver events, each until it is taken; those that are refused again when all others were. Return the refused."""
    waiting = list(events)
    for _ in REDELIVERIES:
        refused = []
        for event in waiting:
            if (await bought.deliver_once(event)).admitted:
                await bought.stage.rest()
            else:
                refused.append(event)
        if not refused or refused == waiting:
            return refused
        waiting = refused
    return waiting


async def reconcile(bought: Bought) -> None:
    """Run what a scheduler runs to fetch what never arrived, if the document tells of it; its failure is its own."""
    command = bought.stage.document.webhooks[bought.webhook].reconcile
    if command is not None:
        try:
            await bought.stage.player.play([Run(run=command)], who=None, tenant=HOME)
        except HoldtrueError as error:
            bought.stage.player.evidence.add("reconcile", failed=str(error))
        await bought.stage.rest()
