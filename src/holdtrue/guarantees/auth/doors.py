"""The places where an app takes a credential, and what a token achieves there.

A *door* has its positive twin built in: it is one only if the genuine token opens it, and nothing at all does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from holdtrue.contract.document import Refresh
from holdtrue.guarantees.effects import business_tables, done
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import HOME, answered, call, make_ready, ready_for, request_of, sender_of, twin
from holdtrue.stage.scene import Call, Twin
from holdtrue.stage.steps import Rendered
from holdtrue.stage.tables import listed
from holdtrue.stage.tokens import MailedKind, captures_of, carried

Change = Callable[[str], str]
"""Makes of the genuine token, which may be another at each use, the text that is sent instead."""
GARBAGE = "Z2FyYmFnZQ"
"""A token of no kind."""


class Door(Protocol):
    """A place where the app takes one kind of credential."""

    @property
    def name(self) -> str:
        """For a person, and for the names of cases: ``the access token at GET /orders``."""

    @property
    def where(self) -> str:
        """The route."""

    @property
    def token(self) -> str:
        """A genuine token, as the scene left it."""

    async def opens(self, change: Change) -> str | None:
        """Send a changed token; say in words what it achieved, or None. Raises StepFailedError when nobody answers."""


@dataclass(frozen=True, kw_only=True)
class _RouteDoor(ABC):
    """A route that a principal's token opens, and for which nothing need have happened before."""

    stage: Stage
    who: Who
    variable: str
    key: str

    @property
    def name(self) -> str:
        """``GET /orders as clerk``."""
        return f"{self.key} as {self.who.name}"

    @property
    def where(self) -> str:
        """The route."""
        return self.key

    @property
    def token(self) -> str:
        """The principal's."""
        return carried(self.stage.cast, self.who)[self.variable]

    async def opens(self, change: Change) -> str | None:
        """Send a changed token; say in words what it achieved, or None."""
        await ready_for(self.stage, self.key)
        return await self.opens_now(change)

    @abstractmethod
    async def opens_now(self, change: Change) -> str | None:
        """The same, without going back to the scene first."""


@dataclass(frozen=True, kw_only=True)
class AccessDoor(_RouteDoor):
    """A route that only reads, and shows somebody signed in what it shows nobody else."""

    twin: Twin
    main: bool
    """The one for its kind of token where everything is tried; at the others some is."""

    async def opens_now(self, change: Change) -> str | None:
        """The same, without going back to the scene first."""
        ready = await make_ready(self.stage, self.key)  # nothing need have happened before
        rendered = request_of(self.stage, ready, sender=self.who, at=HOME)
        return await self.shown(_with_token(self.stage, rendered, self.token, change(self.token)))

    async def shown(self, rendered: Rendered) -> str | None:
        """Send a request and say what its answer shows."""
        answer = await self.stage.player.send_rendered(rendered, sender=self.who)
        if answer.failed:
            self.stage.doubt = self.key
        return done(self.stage, answered(answer, self.key), None, self.twin, HOME)


@dataclass(frozen=True, kw_only=True)
class WriteDoor(_RouteDoor):
    """A route that changes something."""

    async def opens_now(self, change: Change) -> str | None:
        """The same, without going back to the scene first."""
        stage = self.stage
        ready = await make_ready(stage, self.key)
        rendered = request_of(stage, ready, sender=self.who, at=HOME)
        async with stage.watch(rest=False) as seen:
            sent = _with_token(stage, rendered, self.token, change(self.token))
            answer = await stage.player.send_rendered(sent, sender=self.who)
        if answer.failed:
            stage.doubt = self.key
        if not answered(answer, self.key).admitted and not seen.rows:
            return None
        achieved = done(stage, answer, seen.rows, await twin(stage, self.key), HOME)
        return None if achieved is None or await self._open_to_nobody() else achieved

    async def _open_to_nobody(self) -> bool:
        """Whether the route asks for no token at all, so that none was taken for another (AUTH001)."""
        stage = self.stage
        await stage.reset()
        ready = await make_ready(stage, self.key)
        async with stage.watch(rest=False) as seen:
            answer = await call(stage, ready, sender=None)
        return done(stage, answer, seen.rows, await twin(stage, self.key), HOME) is not None


@dataclass(frozen=True, kw_only=True)
class RefreshDoor:
    """Where a refresh token is exchanged; it opens when the new access token opens a route."""

    stage: Stage
    who: Who
    told: Refresh
    probe: AccessDoor
    """The principal's own."""

    @property
    def name(self) -> str:
        """``POST /auth/refresh as clerk``."""
        return f"{self.where} as {self.who.name}"

    @property
    def where(self) -> str:
        """The route."""
        return self.told.step.request

    @property
    def token(self) -> str:
        """The principal's."""
        return str(self.stage.cast.view(self.who, HOME)["refresh_token"])

    async def opens(self, change: Change) -> str | None:
        """Send a changed token; say in words what it achieved, or None."""
        await self.stage.fresh()
        return await self.opens_now(change)

    async def opens_now(self, change: Change) -> str | None:
        """The same, without going back to the scene first."""
        stage = self.stage
        forged = change(self.token)
        _keep_secret(stage, self.token, forged)
        view = stage.cast.view(self.who, HOME, {"refresh_token": forged})
        answer = await stage.player.send(self.told.step, sender=None, tenant=HOME, view=view)
        if answer.failed:
            # A 5xx is no new token; whether the app is still well the next genuine one shows.
            answered(answer, self.where)
        access = answer.capture(self.told.step.capture.get("access_token", "access_token"))
        if not answer.succeeded or not isinstance(access, str):
            return None
        stage.redactor.learn("access_token", access)
        if await self.probe.opens_now(lambda _: access) is None:
            return None
        return f"it was answered {answer.describe()} with a new access token, which opens {self.probe.key}"


@dataclass(frozen=True, kw_only=True)
class MailedDoor:
    """A route that takes a token out of a mail."""

    stage: Stage
    kind: MailedKind
    variable: str
    key: str
    token: str
    """One that the scene's mail brought; each time the route is made ready there is another."""
    twin: Twin
    noise: frozenset[str]
    """Tables that a wrong token changes as well, such as a counter of attempts."""
    access: tuple[AccessDoor, ...]
    """What a session opens, should the route begin one."""

    @property
    def name(self) -> str:
        """The route."""
        return self.key

    @property
    def where(self) -> str:
        """The route."""
        return self.key

    async def opens(self, change: Change) -> str | None:
        """Send a changed token; say in words what it achieved, or None."""
        return await self.opens_ready(await ready_for(self.stage, self.key), change)

    async def opens_ready(self, ready: Call, change: Change) -> str | None:
        """The same, with the route made ready by the caller."""
        answer, changed = await sent_mailed(self.stage, ready, self.variable, change)
        meant = business_tables(self.twin.rows, self.stage.document) - self.noise
        if changed & meant:
            return f"it was answered {answer.describe()} and changed {listed(changed & meant)}"
        return done(self.stage, answer, None, self.twin, HOME) or await self._session(answer)

    async def _session(self, answer: Answer) -> str | None:
        """Whether the answer begins a session."""
        for door in self.access:
            for where in captures_of(self.stage.document, door.variable) if answer.succeeded else ():
                access = answer.capture(where)
                if isinstance(access, str) and await door.opens_now(lambda _, access=access: access):  # type: ignore[misc]
                    return f"it was answered {answer.describe()} with a new access token, which opens {door.key}"
        return None


async def sent_mailed(stage: Stage, ready: Call, variable: str, change: Change) -> tuple[Answer, frozenset[str]]:
    """Send a changed token to a route that was made ready; return the answer and the tables that it changed."""
    forged = change(mailed_token(stage, ready, variable))
    _keep_secret(stage, mailed_token(stage, ready, variable), forged)
    sent = replace(ready, variables={**ready.variables, variable: forged})
    async with stage.watch(rest=False) as seen:
        answer = await call(stage, sent, sender=sender_of(stage, ready))
    return answer, business_tables(seen.rows, stage.document)


def mailed_token(stage: Stage, ready: Call, variable: str) -> str:
    """The token of a route that was made ready."""
    return str(stage.cast.view(ready.principal, ready.tenant, dict(ready.variables))[variable])


def _with_token(stage: Stage, rendered: Rendered, genuine: str, token: str) -> Rendered:
    _keep_secret(stage, genuine, token)
    headers = {name: value.replace(genuine, token) for name, value in rendered.headers.items()}
    return replace(rendered, headers=headers)


def _keep_secret(stage: Stage, genuine: str, token: str) -> None:
    if token != genuine:
        stage.redactor.learn("forged token", token)
