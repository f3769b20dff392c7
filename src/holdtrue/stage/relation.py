"""Relations between runs: the state a scenario leaves, in a form in which two equivalent runs are equal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from holdtrue.stage.database import Difference, Fingerprint, Noise, learn
from holdtrue.stage.stage import Stage

Scenario = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class State:
    """What a scenario left behind: in the database, at the provider, in mailboxes."""

    rows: Fingerprint
    ledger: Any
    mails: tuple[tuple[str, str], ...]
    """(recipient, subject), sorted."""

    def differences(self, other: State) -> list[str]:
        """What is otherwise in ``other``, in words."""
        found = list(self.rows.compare(other.rows))
        if self.ledger != other.ledger:
            found.append(f"at the provider: {other.ledger} instead of {self.ledger}")
        if self.mails != other.mails:
            found.append(f"mails: {_listed(other.mails)} instead of {_listed(self.mails)}")
        return found


@dataclass
class Relation:
    """Compares runs of one scenario with a run that nothing disturbed."""

    stage: Stage
    undisturbed: Scenario
    """Resets the stage, then plays the scenario to its end."""
    _noise: Noise = field(default_factory=Noise)
    _expected: dict[float, State] = field(default_factory=dict)

    async def learn(self) -> list[str]:
        """Play the undisturbed scenario twice and learn which columns are noise; return what differs even so.

        What differs between two undisturbed runs cannot be held against a disturbed one.
        """
        first, state = await self._run()
        second, twin = await self._run()
        learned = learn(self.stage.scene.catalog, first, second)
        self._noise = learned.noise
        self.stage.setting.noise.update(learned.noise.describe())
        self._expected[0] = self._state(first, *state)
        return [*learned.unstable, *self._expected[0].differences(self._state(second, *twin))]

    async def state(self) -> State:
        """The state as it is now."""
        return self._state(await self.stage.difference(), *self._elsewhere())

    async def expected(self, age: float = 0) -> State:
        """The state that an undisturbed run leaves after ``age`` seconds. Replaces the state as it is now."""
        if age not in self._expected:
            await self._run()
            await self.stage.age(age)
            await self.stage.rest()
            self._expected[age] = await self.state()
        return self._expected[age]

    async def _run(self) -> tuple[Difference, tuple[Any, tuple[tuple[str, str], ...]]]:
        await self.undisturbed()
        await self.stage.rest()
        return await self.stage.difference(), self._elsewhere()

    def _state(self, difference: Difference, ledger: Any, mails: tuple[tuple[str, str], ...]) -> State:
        rows = Fingerprint.of(self.stage.scene.catalog, difference, noise=self._noise)
        return State(rows=rows, ledger=ledger, mails=mails)

    def _elsewhere(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        """The provider's ledger, and the mails of this run."""
        fresh = self.stage.mail.mails[len(self.stage.scene.mailbox.mails) :]
        mails = sorted((recipient, mail.subject or "") for mail in fresh for recipient in mail.recipients)
        return self.stage.payments.ledger(), tuple(mails)


def _listed(mails: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{subject!r} to {recipient}" for recipient, subject in mails) or "none"
