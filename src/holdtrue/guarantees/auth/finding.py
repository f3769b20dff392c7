"""Finds an app's doors: the routes, principals and mails by which it takes credentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from holdtrue.guarantees.auth.doors import (
    GARBAGE,
    AccessDoor,
    MailedDoor,
    RefreshDoor,
    WriteDoor,
    mailed_token,
    sent_mailed,
)
from holdtrue.guarantees.effects import business_tables, done
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import HOME, call_well, principal_of, ready_for, request_of
from holdtrue.stage.scene import Twin
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed
from holdtrue.stage.tokens import MailedKind, carried, filled_with, mailed_kinds, read_jws


async def access_doors(stage: Stage) -> list[AccessDoor]:
    """The doors of each kind of access token: by its type, issuer and audience, whoever holds it. Found once.

    A principal whose token opens nothing that can be recognised has no door.
    """
    return await stage.once(access_doors, partial(_find_access_doors, stage))


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


async def write_doors(stage: Stage) -> list[WriteDoor]:
    """Guarded routes that change something: each may have a guard of its own."""
    decisive = {_kind_of(carried(stage.cast, door.who)): door.variable for door in await access_doors(stage)}
    found: list[WriteDoor] = []
    for key, route in stage.document.routes.items():
        if key.startswith(("GET ", "HEAD ")) or route.permission is None or route.before or route.after is not None:
            continue
        who = principal_of(stage, key)
        variable = decisive.get(_kind_of(carried(stage.cast, who))) if who is not None else None
        if who is not None and variable is not None:
            found.append(WriteDoor(stage=stage, who=who, variable=variable, key=key))
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
            if variables and route.signature is None and route.out_of_scope is None:
                yield kind, variables[0], key


async def mailed_door(stage: Stage, kind: MailedKind, variable: str, key: str) -> MailedDoor | None:
    """A route that takes a mailed token; None where it answers any text as it does the token, and changes nothing.

    Raises:
        StepFailedError: the genuine token is refused, or any text is taken for one.
    """
    ready = await ready_for(stage, key)
    token = mailed_token(stage, ready, variable)
    answer, noise = await sent_mailed(stage, ready, variable, lambda _: GARBAGE)
    ready = await ready_for(stage, key)
    twin = await call_well(stage, ready)
    door = MailedDoor(
        stage=stage,
        kind=kind,
        variable=variable,
        key=key,
        token=token,
        twin=twin,
        noise=noise,
        access=tuple(each for each in await access_doors(stage) if each.main),
    )
    if done(stage, answer, None, twin, HOME) is not None:
        return None
    changed = business_tables(twin.rows, stage.document)
    if changed and not changed - noise:
        raise StepFailedError(
            f"any text in the place of the mailed token changes {listed(changed)}, as the token does", where=key
        )
    return door


async def is_jwt(stage: Stage, variable: str, key: str) -> bool:
    """Whether the token that a mail brings for a route is a JWT. Asked of the app once in a check.

    Raises:
        StepFailedError: the mail does not come, or what must have happened before does not.
    """
    known = stage.setting.known.get((is_jwt, key))
    if known is None:
        known = read_jws(mailed_token(stage, await ready_for(stage, key), variable)) is not None
        stage.setting.known[is_jwt, key] = known
    return bool(known)
