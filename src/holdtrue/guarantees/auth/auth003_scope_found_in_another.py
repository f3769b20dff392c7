"""Scope that is found inside another.

What production does
--------------------
Scopes grow: beside `admin` there is `nonadmin` some day, beside `orders.read` there is `orders.readonly`. A partner's
token with the lesser one opens what the greater one guards.

Why apps break here
-------------------
The claim is one text with spaces between the scopes. `in` works on texts as on lists, and looks the same in review.

Wrong
-----
    if "orders.read" not in claims["scope"]:
        raise HTTPException(403)

Right
-----
    if "orders.read" not in claims["scope"].split():
        raise HTTPException(403)

Sources: RFC 6749 §3.3 (scopes are case-sensitive texts with spaces between), RFC 9068 §2.2.3.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.doors import AccessDoor
from holdtrue.guarantees.auth.finding import access_doors
from holdtrue.guarantees.auth.forging import (
    NO_JWT,
    attempt,
    genuine,
    no_probe,
    sessions,
    signed_doors,
    still_open,
)
from holdtrue.guarantees.base import Absent, Case, Guarantee, Tried
from holdtrue.stage import Stage
from holdtrue.stage.tokens import Jws, SigningKey, read_jws

CLAIMS = ("scope", "scp", "scopes", "permissions")


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """At each door whose token names the route's permission: scopes that only contain its text."""
    doors = await access_doors(stage)
    if not doors:
        yield no_probe()
    jwts = [door for door in doors if read_jws(door.token) is not None]
    scoped = [door for door in jwts if _claim(door) is not None]
    if doors and not scoped:
        yield Absent(reason="its tokens name no permission of the document" if jwts else NO_JWT)
    signed, untried_ones = await signed_doors(stage, scoped)
    for untried in untried_ones:
        yield untried
    decided = 0
    for door, key in signed:
        if isinstance(door, AccessDoor) and await _decides(door, key):
            decided += 1
            for case in _cases(door, key):
                yield case
    if signed and not decided:
        yield Absent(reason="its tokens name permissions, but what they name decides nothing at the routes that read")
    async for untried in still_open(door for door, _ in signed):
        yield untried


def _claim(door: AccessDoor) -> str | None:
    """The claim in which a door's token names the permission of its route."""
    claims = genuine(door.token, door).claims
    permission = _permission(door)
    return next((name for name in CLAIMS if permission in _scopes(claims.get(name))), None)


def _permission(door: AccessDoor) -> str:
    return str(door.stage.document.routes[door.key].permission)


def _scopes(told: object) -> list[object]:
    if isinstance(told, str):
        return [*told.split()]
    return told if isinstance(told, list) else []


async def _decides(door: AccessDoor, key: SigningKey) -> bool:
    """The twins: this scope alone opens the route, and another one alone does not."""
    with_it = await door.opens(lambda text: _scoped(door, key, genuine(text, door), _permission(door)).text)
    without = await door.opens(lambda text: _scoped(door, key, genuine(text, door), "unrelated").text)
    return with_it is not None and without is None


def _scoped(door: AccessDoor, key: SigningKey, token: Jws, scope: str) -> Jws:
    """The token with one scope, in the form in which the app writes them."""
    claim = str(_claim(door))
    told: object = [scope] if isinstance(token.claims[claim], list) else scope
    return key.sign(token.unsigned(claims={**token.claims, claim: told}))


def _cases(door: AccessDoor, key: SigningKey) -> list[Case]:
    permission = _permission(door)
    return [
        attempt(
            door,
            f"scope {scope}",
            lambda token, scope=scope: _scoped(door, key, token, scope),  # type: ignore[misc]
            f"A token with the scope `{scope}`, and not `{permission}`,",
            cause="scope",
        )
        for scope in (f"non{permission}", f"{permission}only")
    ]


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH003",
    catalogue="T3",
    severity=Severity.HIGH,
    promise="A scope opens what it names, and no other scope does whose text contains it.",
    why="Who was given the lesser right has the greater one; the next scope that somebody adds decides which.",
    do="Split the claim at its spaces, and look the scope up in the set.",
    do_not="Do not rename the scopes so that none contains another: the next one will.",
    subjects=sessions,
    rehearse=rehearse,
)
