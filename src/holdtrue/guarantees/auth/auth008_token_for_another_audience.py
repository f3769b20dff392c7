"""Token for another audience.

What production does
--------------------
The same key signs tokens for two services: the app and its admin, production and a partner's sandbox, the API and the
mobile backend. Somebody who has an account at the lesser one takes its token to the other.

Why apps break here
-------------------
`aud` is written into the tokens, since the examples do, and never read: decoding works without it. Or it is compared
with `in`, which is true for a part of the text as well.

Wrong
-----
    claims = jwt.decode(token, key, algorithms=["HS256"], options={"verify_aud": False})

Right
-----
    claims = jwt.decode(token, key, algorithms=["HS256"], audience="shop-api")

Sources: RFC 7519 §4.1.3, RFC 8725 §3.9, RFC 9068 §4, ASVS 5.0 9.2.3. A list of audiences that contains the right one
is right.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.doors import Door
from holdtrue.guarantees.auth.forging import (
    NO_JWT,
    attempt,
    everything_at,
    genuine,
    jwt_doors,
    sessions,
    signed_doors,
    still_open,
)
from holdtrue.guarantees.base import Case, Guarantee, Tried
from holdtrue.stage import Stage
from holdtrue.stage.tokens import Jws, SigningKey

FOREIGN_SERVICE = "https://another-service.invalid"


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """At each door whose tokens name an audience: another one, one that contains the right one's text, and none."""
    doors = await jwt_doors(stage)
    told = [door for door in doors.found if genuine(door.token, door).claims.get("aud")]
    for untold in doors.missing(told=told, otherwise="its tokens name no audience" if doors.found else NO_JWT):
        yield untold
    signed, untried_ones = await signed_doors(stage, told)
    for untried in untried_ones:
        yield untried
    for door, key in signed:
        for case in _cases(door, key):
            yield case
    async for untried in still_open(door for door, _ in signed):
        yield untried


def _cases(door: Door, key: SigningKey) -> list[Case]:
    cases = [_case(door, key, "foreign aud", FOREIGN_SERVICE, "A token for another service, signed by the same key,")]
    if everything_at(door):
        audience = genuine(door.token, door).claims["aud"]
        ours = audience[0] if isinstance(audience, list) else audience
        cases += [
            _case(
                door,
                key,
                "aud that contains the right one",
                f"not-{ours}-at-all",
                "A token for a service whose name contains this one's",
            ),
            _case(door, key, "no aud", None, "A token that names no audience, signed by the same key,"),
        ]
    return cases


def _case(door: Door, key: SigningKey, name: str, audience: str | None, seen: str) -> Case:
    return attempt(door, name, lambda token: key.sign(token.unsigned(claims=_for(token, audience))), seen, "audience")


def _for(token: Jws, audience: str | None) -> dict[str, object]:
    """The claims for another audience, in the form in which the app writes it."""
    others = {name: value for name, value in token.claims.items() if name != "aud"}
    if audience is None:
        return others
    return others | {"aud": [audience] if isinstance(token.claims["aud"], list) else audience}


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH008",
    catalogue="T8",
    severity=Severity.MEDIUM,
    promise="A token that was issued for another audience, or for none, opens nothing here.",
    why="Whoever has an account at a lesser service of the same key walks into this one with it.",
    do="Give the expected audience to the function that decodes, and let it require the claim.",
    do_not="Do not look for the name with `in`: a part of a longer name is found, too.",
    subjects=sessions,
    rehearse=rehearse,
)
