"""Relations between runs: the state a scenario leaves, in a form in which two equivalent runs are equal."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdtrue.stage.database import Catalog, Difference, Fingerprint, Noise, learn, retries
from holdtrue.stage.database.looks import scrub
from holdtrue.stage.stage import Stage
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed

Scenario = Callable[[], Awaitable[None]]
Mails = tuple[tuple[str, str], ...]
TICK = 1.05
"""Seconds between twin runs: many clocks, the provider's among them, count whole seconds."""
KEY_LENGTH = 8
"""A shorter key of a new row is not looked for elsewhere: it may be an amount or a word."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a scenario left behind: in the database, at the provider, in mailboxes."""

    rows: Fingerprint
    ledger: Any
    """At the provider; keys that the app made up are renamed after their table."""
    mails: Mails
    """(recipient, subject without times and tokens), sorted."""

    def differences(self, other: State) -> list[str]:
        """What is otherwise in ``other``, in words."""
        found = list(self.rows.compare(other.rows))
        mine, theirs = dict(_leaves(self.ledger)), dict(_leaves(other.ledger))
        found += [
            f"at the provider: {place} is {theirs.get(place, 'nothing')} instead of {mine.get(place, 'nothing')}"
            for place in dict.fromkeys([*mine, *theirs])
            if mine.get(place) != theirs.get(place)
        ]
        # One mail too many is an effect twice; one too few may be owed still, which is a promise of its own.
        surplus = Counter(other.mails) - Counter(self.mails)
        if surplus:
            found.append(f"mails too many: {_listed(tuple(surplus.elements()))}")
        return found


@dataclass
class Relation:
    """Compares runs of one scenario with a run that nothing disturbed."""

    stage: Stage
    undisturbed: Scenario
    """Resets the stage, then plays the scenario to its end."""
    _noise: Noise = field(default_factory=Noise)
    _expected: dict[float, State] = field(default_factory=dict)
    _first: tuple[Difference, tuple[Any, Mails]] | None = None
    _ready: float = 0.0

    async def begin(self) -> None:
        """Play the undisturbed scenario for the first time; what time has to pass before ``learn`` may be used."""
        self._first = await self._run()
        self._ready = time.monotonic() + TICK

    async def learn(self) -> list[str]:
        """Play it once more and learn which columns are noise; return what differs even so.

        What differs between two undisturbed runs cannot be held against a disturbed one.
        """
        if self._first is None:
            await self.begin()
            return await self.learn()
        # Twins within one second would agree on moments that every later run has otherwise.
        await asyncio.sleep(self._ready - time.monotonic())
        (first, state), (second, twin) = self._first, await self._run()
        catalog = self.stage.scene.catalog
        learned = learn(catalog, first, second, noise=Noise(columns=retries(catalog, first, second)))
        self._noise = learned.noise
        self.stage.setting.noise.update(learned.noise.describe())
        self._expected[0] = self._state(first, *state)
        return [*learned.unstable, *self._expected[0].differences(self._state(second, *twin))]

    async def state(self) -> State:
        """The state as it is now."""
        return self._state(await self.stage.difference(), *self._elsewhere())

    def alike(self, undisturbed: Scenario) -> Relation:
        """Compare with another scenario of the same kind: what is noise in one is noise in the other."""
        return Relation(self.stage, undisturbed, self._noise)

    async def expected(self, age: float = 0) -> State:
        """The state that an undisturbed run leaves after ``age`` seconds. Replaces the state as it is now.

        Raises:
            StepFailedError: this time it left another state than when it was learned: nothing can be held to it.
        """
        if age not in self._expected:
            again, elsewhere = await self._run()
            first = self._expected.setdefault(0, self._state(again, *elsewhere))
            if differences := first.differences(self._state(again, *elsewhere)):
                raise StepFailedError(
                    f"an undisturbed run leaves another state than one before: {'; '.join(differences[:3])}",
                    why="What equal runs differ in cannot be held against a disturbed one.",
                )
            if age:
                await self.stage.age(age)
                await self.stage.rest()
                self._expected[age] = await self.state()
        return self._expected[age]

    async def _run(self) -> tuple[Difference, tuple[Any, Mails]]:
        await self.undisturbed()
        await self.stage.rest()
        return await self.stage.difference(), self._elsewhere()

    def _state(self, difference: Difference, ledger: Any, mails: Mails) -> State:
        catalog = self.stage.scene.catalog
        rows = Fingerprint.of(catalog, difference, noise=self._noise)
        made = _made_up(catalog, difference)
        subjects = sorted((recipient, scrub(_rename(subject, made))) for recipient, subject in mails)
        return State(rows=rows, ledger=_renamed(ledger, made), mails=tuple(subjects))

    def _elsewhere(self) -> tuple[Any, Mails]:
        """The provider's ledger, and the mails of this run."""
        fresh = self.stage.mail.mails[len(self.stage.scene.start.mailbox.mails) :]
        mails = ((recipient, mail.subject or "") for mail in fresh for recipient in mail.recipients)
        return self.stage.payments.ledger(), tuple(mails)


def _made_up(catalog: Catalog, difference: Difference) -> dict[str, str]:
    """The keys of new rows, as text, and what stands for each: an app tells the provider which row it means."""
    made: dict[str, str] = {}
    for name, changes in difference.tables.items():
        table = catalog.get(name)
        for row in changes.inserted:
            keys = (row.get(column) for column in (table.primary_key if table else ()))
            made |= {key: f"«{listed([name])}»" for key in keys if isinstance(key, str) and len(key) >= KEY_LENGTH}
    return made


def _rename(text: str, made: Mapping[str, str]) -> str:
    for key, name in made.items():
        text = text.replace(key, name)
    return text


def _renamed(facts: Any, made: Mapping[str, str]) -> Any:
    """The facts with keys renamed; their lists are sorted anew, for a key may have decided an order."""
    if isinstance(facts, dict):
        return {name: _renamed(fact, made) for name, fact in facts.items()}
    if isinstance(facts, list):
        return sorted((_renamed(fact, made) for fact in facts), key=_without_ids)
    return _rename(facts, made) if isinstance(facts, str) else facts


def _without_ids(fact: Any) -> str:
    """What a fact says apart from the provider's ids, which count up in the order of creation."""
    if isinstance(fact, dict):
        fact = {name: value for name, value in fact.items() if name not in ("charge", "customer")}
    return json.dumps(fact, sort_keys=True)


def _leaves(facts: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every fact with the way to it, such as ``platform.charges.0.amount_captured``."""
    items = facts.items() if isinstance(facts, dict) else enumerate(facts) if isinstance(facts, list) else None
    if items is None:
        yield place, facts
        return
    for name, fact in items:
        yield from _leaves(fact, f"{place}.{name}" if place else str(name))


def _listed(mails: Mails) -> str:
    return ", ".join(f"{subject!r} to {recipient}" for recipient, subject in mails) or "none"
