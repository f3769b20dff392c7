"""Token that is read but not verified.

What production does
--------------------
Somebody opens their own token at a website that decodes JWTs, puts another's id or the role `owner` into it, and sends
it back. No key is needed for that, and no skill.

Why apps break here
-------------------
The signature check stood in the way once, with a key that had not arrived yet or a clock that was wrong, and was turned
off. Or the claims are wanted before the key is known (which tenant, which issuer), and are read without it.

Wrong
-----
    claims = jwt.decode(token, options={"verify_signature": False})

Right
-----
    claims = jwt.decode(token, key, algorithms=["HS256"], options={"require": ["exp", "sub"]})

Sources: RFC 7519 §7.2, RFC 8725 §3.3 (all cryptographic operations must be validated), ASVS 5.0 9.1.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.doors import AccessDoor, Door
from holdtrue.guarantees.auth.forging import (
    attempt,
    everything_at,
    flipped,
    jwt_doors,
    sessions,
    still_open,
    written_to,
)
from holdtrue.guarantees.base import Case, Guarantee, Tried
from holdtrue.stage import Stage
from holdtrue.stage.tokens import Jws, read_jws


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """At each door: a changed payload; at one of each kind also another's signature, half of one, and none."""
    doors = await jwt_doors(stage)
    for untold in doors.missing(told=doors.found):
        yield untold
    opened: set[str] = set()
    for door in (*doors.found, *await written_to(stage)):
        if everything_at(door) or not opened:
            for case in _cases(door, doors.found, opened):
                yield case
    async for untried in still_open(doors.found):
        yield untried


def _cases(door: Door, doors: Sequence[Door], opened: set[str]) -> list[Case]:
    who = f"{door.who.name}'s" if isinstance(door, AccessDoor) else "A"
    cases = [
        attempt(
            door,
            "payload changed",
            _longer,
            "A token whose payload was changed after it was signed",
            "signature",
            opened,
        ),
    ]
    if everything_at(door):
        other = _signature_of_another(door, doors)
        said = "the signature of another token" if other is not None else "a signature of random bytes"
        cases += [
            attempt(
                door,
                "another's signature",
                lambda token: replace(token, signature=other or bytes(len(token.signature))),
                f"{who[0].upper()}{who[1:]} payload under {said}",
                "signature",
            ),
            attempt(door, "signature flipped", flipped, "A token with one bit of its signature flipped", "signature"),
            attempt(
                door, "signature removed", lambda token: token.unsigned(), "A token without its signature", "signature"
            ),
        ]
    return cases


def _longer(token: Jws) -> Jws:
    """A thief's first wish: that it lasts longer."""
    lifetime = token.claims.get("exp")
    changed = {"exp": lifetime + 3600} if isinstance(lifetime, int | float) else {"changed": True}
    return token.altered(claims={**token.claims, **changed}, signature=token.signature)


def _signature_of_another(door: Door, doors: Sequence[Door]) -> bytes | None:
    own = read_jws(door.token)
    for other in doors:
        token = read_jws(other.token)
        if own is not None and token is not None and token.signature != own.signature and token.alg == own.alg:
            return token.signature
    return None


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH006",
    catalogue="T6",
    severity=Severity.CRITICAL,
    promise="A token opens something only as it was signed: not with another payload, another signature, or none.",
    why="Anybody with an account, or none, writes themselves a token that says they are the owner of any tenant.",
    do="Verify the signature before any claim is read, in the one function that every guard uses.",
    do_not="Do not check the claims more closely instead: whoever writes the token writes what you look for.",
    subjects=sessions,
    rehearse=rehearse,
)
