"""Algorithm chosen by the token.

What production does
--------------------
Somebody writes `"alg": "none"` into the header of a token, puts any claims under it and leaves the signature out. Or
the app signs with RSA and publishes its public key, as it should; then they sign an HMAC with that very text.

Why apps break here
-------------------
The header says how the token was signed, so it seems natural to verify it that way. Old examples do so, and code that
must accept tokens of two issuers is made to work like this.

Wrong
-----
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, key, algorithms=[header["alg"]])

Right
-----
    claims = jwt.decode(token, key, algorithms=["HS256"])

Sources: RFC 8725 §2.1, §3.1 and §3.2 (algorithm verification; each key is used with one algorithm), ASVS 5.0 9.1.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.doors import Door
from holdtrue.guarantees.auth.forging import (
    attempt,
    everything_at,
    flipped,
    genuine,
    jwt_doors,
    sessions,
    still_open,
)
from holdtrue.guarantees.base import Case, Guarantee, Tried, Untried
from holdtrue.stage import Stage
from holdtrue.stage.play import twin
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tokens import SigningKey, public_forms, signing_key_of

SPELLINGS = ("none", "None", "NONE", "nOnE")
"""A list of refused names may know but one (RFC 7518 §3.1 has ``none``, and names are case-sensitive)."""


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """At each door: unsigned, in each spelling; where a key pair signs, an HMAC of the public key's text, too."""
    doors = await jwt_doors(stage)
    for untold in doors.missing(told=doors.found):
        yield untold
    for door in doors.found:
        if await door.opens(lambda text, door=door: flipped(genuine(text, door)).text) is not None:  # type: ignore[misc]
            yield Untried(subject=door.name, reason="it opens to a wrong signature (AUTH006), whatever the algorithm")
            continue
        for spelling in SPELLINGS if everything_at(door) else SPELLINGS[:1]:
            yield _unsigned(door, spelling)
        if not genuine(door.token, door).alg.startswith("HS") and everything_at(door):
            async for tried in _confused(stage, door):
                yield tried
    async for untried in still_open(doors.found):
        yield untried


def _unsigned(door: Door, spelling: str) -> Case:
    return attempt(
        door,
        f"alg {spelling}",
        lambda token: token.unsigned(header={**token.header, "alg": spelling}),
        f'A token with `"alg": "{spelling}"` and no signature, which anybody can write,',
        cause="none",
    )


async def _confused(stage: Stage, door: Door) -> AsyncIterator[Tried]:
    forms = public_forms(
        stage, genuine(door.token, door), signing_key_of(stage, genuine(door.token, door)), await _published(stage)
    )
    if not forms:
        yield Untried(
            subject=door.name,
            reason="a key pair signs its tokens, but its public key is neither in the app's environment nor at a "
            "public route: declare the route of its JWK Set, as an attacker would ask it first",
        )
    for number, form in enumerate(forms):
        key = SigningKey(alg="HS256", secret=form)
        yield attempt(
            door,
            f"HS256 with the public key, form {number + 1}",
            lambda token, key=key: key.sign(token.unsigned(header={**token.header, "alg": "HS256"})),  # type: ignore[misc]
            "A token signed by HMAC with the text of the public key, which everybody has,",
            cause="public key",
        )


async def _published(stage: Stage) -> list[object]:
    told: list[object] = []
    for key, route in stage.document.routes.items():
        if route.public is not None and key.startswith("GET ") and "{" not in key:
            try:
                told.append((await twin(stage, key)).answer.json)
            except StepFailedError:
                continue  # said by whoever calls the route for its own sake
    return told


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH005",
    catalogue="T5",
    severity=Severity.CRITICAL,
    promise="A token is verified by the algorithm the app chose, never by the one it names: not by `none`, nor by HMAC "
    "with a public key.",
    why="Anybody writes themselves a token for any account, without any key.",
    do="Name the one algorithm where the token is decoded, as a constant.",
    do_not="Do not refuse `none` by name: it has other spellings, and the public key remains.",
    subjects=sessions,
    rehearse=rehearse,
)
