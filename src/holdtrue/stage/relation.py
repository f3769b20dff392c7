"""Relations between runs: the state a scenario leaves, in a form in which two equivalent runs are equal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from holdtrue.stage.database import Fingerprint, Noise, learn_noise
from holdtrue.stage.stage import Stage

Scenario = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class State:
    """What a scenario left behind: in the database, at the provider, in mailboxes."""

    rows: Fingerprint
    ledger: Any
    mails: tuple[tuple[str, str], ...]
    """(recipient, subject), sorted."""

    def differences(self, other: State, *, mails_at_least_once: bool = False) -> list[str]:
        """What is otherwise in ``other``, in words. Mails may have come more often where a sender died."""
        found = self.rows.differences(other.rows)
        if self.ledger != other.ledger:
            found.append(f"at the provider: {other.ledger} instead of {self.ledger}")
        mine, theirs = (
            (set(self.mails), set(other.mails)) if mails_at_least_once else (list(self.mails), list(other.mails))
        )
        if mine != theirs:
            found.append(f"mails: {_listed(other.mails)} instead of {_listed(self.mails)}")
        return found


@dataclass
class Relation:
    """Compares runs of one scenario with a run that nothing disturbed."""

    stage: Stage
    undisturbed: Scenario
    """Resets the stage, then plays the scenario to its end."""
    noise: Noise | None = None
    _expected: dict[float, State] = field(default_factory=dict)

    async def learn(self) -> list[str]:
        """Play the undisturbed scenario twice and learn which columns are noise; return what differs even so."""
        await self.undisturbed()
        await self.stage.rest()
        first = await self.stage.difference()
        state = await self._others()
        await self.undisturbed()
        await self.stage.rest()
        second = await self.stage.difference()
        catalog = self.stage.scene.catalog
        self.noise = learn_noise(first, second, catalog)
        self.stage.setting.noise.update(self.noise.describe())
        ledger, mails = state
        self._expected[0] = State(rows=self._fingerprint(first), ledger=ledger, mails=mails)
        return self._expected[0].differences(await self.state())

    async def state(self) -> State:
        """The state as it is now."""
        ledger, mails = await self._others()
        return State(rows=self._fingerprint(await self.stage.difference()), ledger=ledger, mails=mails)

    async def expected(self, age: float = 0) -> State:
        """The state that an undisturbed run leaves after ``age`` seconds."""
        if age not in self._expected:
            await self.undisturbed()
            await self.stage.rest()
            await self.stage.age(age)
            await self.stage.rest()
            self._expected[age] = await self.state()
        return self._expected[age]

    def _fingerprint(self, difference: Any) -> Fingerprint:
        return Fingerprint.of(difference, self.stage.scene.catalog, noise=self.noise)

    async def _others(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        before = len(self.stage.scene.mailbox.mails)
        mails = sorted(
            (recipient, mail.subject or "") for mail in self.stage.mail.mails[before:] for recipient in mail.recipients
        )
        return self.stage.payments.ledger(), tuple(mails)


def _listed(mails: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{subject!r} to {recipient}" for recipient, subject in mails) or "none"
