"""Token that does not expire.

What production does
--------------------
A token that is in a log, a backup or an old browser is found after weeks. It was good for fifteen minutes, and nobody
who wrote the app can think of a way in which it still works.

Why apps break here
-------------------
Libraries check `exp` only where it is there, so that a token without one is good for ever; and one that was issued by
a script, another service or an older version has none. Or the check is turned off for a refresh that came too late,
or since the clocks of two machines differ.

Wrong
-----
    claims = jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False})

Right
-----
    claims = jwt.decode(token, key, algorithms=["HS256"], leeway=30, options={"require": ["exp"]})

Sources: RFC 7519 §4.1.4, RFC 8725 §3.1, RFC 9068 §2.2 (an access token has `exp`), ASVS 5.0 9.2.1.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.doors import AccessDoor, Door
from holdtrue.guarantees.auth.forging import (
    attempt,
    everything_at,
    genuine,
    jwt_doors,
    sessions,
    signed_doors,
    still_open,
    written_to,
)
from holdtrue.guarantees.base import Case, Guarantee, Harm, Tried
from holdtrue.stage import Stage
from holdtrue.stage.tokens import Jws, SigningKey

DAY = 86_400
"""Seconds by which a token is over: more than any leeway between two clocks."""
YEARS = 3 * 365 * DAY
TIMES = ("iat", "nbf", "exp", "auth_time")


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """At each door one that is over since a day, and one without an end, rightly signed; or a very old one."""
    doors = await jwt_doors(stage)
    for untold in doors.missing(told=doors.found):
        yield untold
    signed, untried_ones = await signed_doors(stage, [*doors.found, *await written_to(stage)])
    for untried in untried_ones:
        yield untried
    opened: set[str] = set()
    for door, key in signed:
        if opened and not everything_at(door):
            continue
        if "exp" in genuine(door.token, door).claims:
            for case in _cases(door, key, opened):
                yield case
        elif isinstance(door, AccessDoor) and everything_at(door):
            yield _endless(stage, door, key)
    async for untried in still_open(door for door, _ in signed):
        yield untried


def _cases(door: Door, key: SigningKey, opened: set[str]) -> list[Case]:
    cases = [
        attempt(
            door,
            "expired a day ago",
            lambda token: key.sign(_forged(token, _older)),
            "A token that expired a day ago, rightly signed,",
            "expired",
            opened,
        )
    ]
    if everything_at(door):
        cases.append(
            attempt(
                door,
                "without exp",
                lambda token: key.sign(token.unsigned(claims=_without(token, "exp"))),
                "A token without `exp`, rightly signed, which nothing will ever end,",
            )
        )
    return cases


def _endless(stage: Stage, door: AccessDoor, key: SigningKey) -> Case:
    """Its tokens have no end; the app may still remember one of its sessions, and end it."""

    async def play() -> Harm | None:
        await stage.fresh()
        await stage.age(YEARS)
        old = partial(_earlier, seconds=YEARS)
        achieved = await door.opens_now(lambda text: key.sign(_forged(genuine(text, door), old)).text)
        if achieved is None:
            return None
        return Harm(
            seen="Its tokens carry no `exp`. One that was issued three years ago, when its session began, "
            f"was sent to {door.name}: {achieved}.",
            where=door.where,
        )

    return Case(name=f"issued three years ago at {door.name}", play=play, cause="no end")


def _forged(token: Jws, change: Callable[[Jws], dict[str, object]]) -> Jws:
    return token.unsigned(claims=change(token))


def _older(token: Jws) -> dict[str, object]:
    """The same token, as it was when it had been over for a day."""
    return _earlier(token, seconds=token.claims["exp"] - time.time() + DAY)


def _earlier(token: Jws, *, seconds: float) -> dict[str, object]:
    """The same token, had it been issued so much earlier."""
    return {
        name: int(value - seconds) if name in TIMES and isinstance(value, int | float) else value
        for name, value in token.claims.items()
    }


def _without(token: Jws, claim: str) -> dict[str, object]:
    return {name: value for name, value in token.claims.items() if name != claim}


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH007",
    catalogue="T7",
    severity=Severity.HIGH,
    promise="A token that is over opens nothing, nor does one that has no end.",
    why="A token that leaked once, into a log or a backup, opens a customer's account for ever.",
    do="Require `exp` where the token is decoded, and let the library compare it.",
    do_not="Do not compare `exp` by hand after decoding: where it is missing nothing is compared.",
    subjects=sessions,
    rehearse=rehearse,
)
