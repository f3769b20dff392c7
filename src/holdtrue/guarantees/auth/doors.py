"""The places where an app takes a credential, and what a token achieves there.

A *door* has its positive twin built in: it is one only if the genuine token opens it, and nothing at all does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, cast

from holdtrue.contract.document import Refresh
from holdtrue.guarantees.effects import business_tables, done
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import HOME, answered, call, call_well, make_ready, ready_for, request_of, sender_of
from holdtrue.stage.scene import Call, Twin
from holdtrue.stage.steps import Rendered, StepFailedError
from holdtrue.stage.tables import listed
from holdtrue.stage.tokens import MailedKind, carried, filled_with, mailed_kinds, read_jws

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
class AccessDoor:
    """A route that only reads, and shows somebody signed in what it shows nobody else."""

    stage: Stage
    who: Who
    variable: str
    key: str
    twin: Twin
    main: bool
    """The one for its kind of token where everything is tried; at the others some is."""

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
        stage.redactor.learn("forged token", forged)
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
        answer, changed = await _sent_mailed(self.stage, ready, self.variable, change)
        meant = business_tables(self.twin.rows, self.stage.document) - self.noise
        if changed & meant:
            return f"it was answered {answer.describe()} and changed {listed(changed & meant)}"
        return done(self.stage, answer, None, self.twin, HOME)


async def _sent_mailed(stage: Stage, ready: Call, variable: str, change: Change) -> tuple[Answer, frozenset[str]]:
    forged = change(mailed_token(stage, ready, variable))
    stage.redactor.learn("forged token", forged)
    sent = replace(ready, variables={**ready.variables, variable: forged})
    async with stage.watch(rest=False) as seen:
        answer = await call(stage, sent, sender=sender_of(stage, ready))
    return answer, business_tables(seen.rows, stage.document)


def mailed_token(stage: Stage, ready: Call, variable: str) -> str:
    """The token of a route that was made ready."""
    return str(stage.cast.view(ready.principal, ready.tenant, dict(ready.variables))[variable])


def _with_token(stage: Stage, rendered: Rendered, genuine: str, token: str) -> Rendered:
    stage.redactor.learn("forged token", token)
    headers = {name: value.replace(genuine, token) for name, value in rendered.headers.items()}
    return replace(rendered, headers=headers)


# -- finding them ----------------------------------------------------------------------------------------------------


async def access_doors(stage: Stage) -> list[AccessDoor]:
    """The doors of each kind of access token: by its type, issuer and audience, whoever holds it. Found once.

    A principal whose token opens nothing that can be recognised has no door.
    """
    known = stage.known.get(access_doors)
    if known is None:
        known = stage.known[access_doors] = await _find_access_doors(stage)
    return cast("list[AccessDoor]", known)


async def _find_access_doors(stage: Stage) -> list[AccessDoor]:
    doors: dict[object, dict[str, AccessDoor]] = {}
    for who in stage.cast.members():
        held = carried(stage.cast, who)
        if who.tenant not in (HOME, None) or not held:
            continue
        of_kind = doors.setdefault(_kind_of(held), {})
        for key in _reading_routes(stage, who):
            if key not in of_kind and (door := await _access_door(stage, who, key)) is not None:
                of_kind[key] = door
    found: list[AccessDoor] = []
    for of_kind in doors.values():
        # What is recognised by the tenant's data first: an answer without any may look the same to everybody.
        ordered = sorted(of_kind.values(), key=lambda door: stage.cast.canary(HOME) not in door.twin.answer.text)
        found += [replace(door, main=number == 0) for number, door in enumerate(ordered)]
    return found


def _kind_of(held: dict[str, str]) -> object:
    """What tells one kind of token from another: not whom it names."""
    kind: list[object] = []
    for name, value in held.items():
        token = read_jws(value)
        if token is None:
            kind.append(name)
            continue
        types = ("typ", "type", "token_type", "token_use", "kind", "iss", "aud")
        told = tuple(str(token.claims.get(each)) for each in types)
        kind.append((name, token.alg, str(token.header.get("typ")), frozenset(token.claims), told))
    return tuple(kind)


def _reading_routes(stage: Stage, who: Who) -> Iterator[str]:
    """Routes that a principal may read without anything having happened before."""
    for key, route in stage.document.routes.items():
        if not key.startswith("GET ") or route.permission is None or route.before or route.after is not None:
            continue
        if stage.cast.holds(who, route.permission) and route.as_ in (None, who.name):
            yield key


async def _access_door(stage: Stage, who: Who, key: str) -> AccessDoor | None:
    try:
        ready = await ready_for(stage, key)
    except StepFailedError:
        return None  # said by whoever calls the route for its own sake
    rendered = request_of(stage, ready, sender=who, at=HOME)
    answer = await stage.player.send_rendered(rendered, sender=who)
    if not answer.admitted or not answer.body:
        return None
    stage.setting.reached.add(key)
    held = carried(stage.cast, who)
    door = AccessDoor(
        stage=stage, who=who, variable=next(iter(held)), key=key, twin=Twin(answer=answer, rows=None), main=False
    )
    if stage.cast.canary(HOME) not in answer.text and await door.shown(rendered) is None:
        return None  # it answers something else each time, by which nothing can be told
    if await door.shown(request_of(stage, ready, sender=None, at=HOME)) is not None:
        return None  # it shows the same to nobody
    if len(held) == 1:
        return door
    # Of a session's cookie and its CSRF token, the one without which nothing opens.
    for variable in held:
        if await replace(door, variable=variable).opens(lambda _: GARBAGE) is None:
            return replace(door, variable=variable)
    return None


async def refresh_door(stage: Stage) -> RefreshDoor | None:
    """Where refresh tokens are exchanged, if the document says so.

    Raises:
        StepFailedError: a genuine token is not exchanged, or its new one opens nothing.
    """
    told = stage.document.refresh
    if told is None:
        return None
    who = stage.cast.who(told.principal, HOME)
    probe = await _own_probe(stage, who, told.probe)
    if probe is None:
        raise StepFailedError(
            f"{told.probe} shows {who} nothing by which a token that opens it could be told from one that does not",
            where="refresh.probe",
            do="Name a route that answers with the tenant's data, and only to somebody signed in.",
        )
    door = RefreshDoor(stage=stage, who=who, told=told, probe=probe)
    if await door.opens(lambda token: token) is None:
        raise StepFailedError("a genuine refresh token is not exchanged for one that opens a route", where=door.where)
    return door


async def _own_probe(stage: Stage, who: Who, named: str) -> AccessDoor | None:
    """The route that the document names, unless another shows tenant data: a list of sessions is another after each."""
    fallback: AccessDoor | None = None
    for key in dict.fromkeys((named, *_reading_routes(stage, who))):
        door = await _access_door(stage, who, key)
        if door is not None and stage.cast.canary(HOME) in door.twin.answer.text:
            return door
        fallback = fallback or door
    return fallback


def mailed_routes(stage: Stage) -> Iterator[tuple[MailedKind, str, str]]:
    """Kind, variable and key of each route that takes a mailed token."""
    for kind in mailed_kinds(stage.document):
        for key, route in stage.document.routes.items():
            variables = sorted(kind.variables & filled_with(stage.document, key))
            if variables and route.permission is None and route.out_of_scope is None:
                yield kind, variables[0], key


async def mailed_door(stage: Stage, kind: MailedKind, variable: str, key: str) -> MailedDoor | None:
    """A route that takes a mailed token; None where it answers any text as it does the token, and changes nothing.

    Raises:
        StepFailedError: the genuine token is refused, or any text is taken for one.
    """
    ready = await ready_for(stage, key)
    token = mailed_token(stage, ready, variable)
    answer, noise = await _sent_mailed(stage, ready, variable, lambda _: GARBAGE)
    ready = await ready_for(stage, key)
    twin = await call_well(stage, ready)
    door = MailedDoor(stage=stage, kind=kind, variable=variable, key=key, token=token, twin=twin, noise=noise)
    if done(stage, answer, None, twin, HOME) is not None:
        return None
    changed = business_tables(twin.rows, stage.document)
    if changed and not changed - noise:
        raise StepFailedError(
            f"any text in the place of the mailed token changes {listed(changed)}, as the token does", where=key
        )
    return door
