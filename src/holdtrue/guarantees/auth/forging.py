"""Sending an app a JWT that is right but for one thing, at every door that takes one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from holdtrue.contract.document import Document
from holdtrue.guarantees.auth.doors import AccessDoor, Door, WriteDoor
from holdtrue.guarantees.auth.finding import access_doors, is_jwt, mailed_door, mailed_routes, refresh_door, write_doors
from holdtrue.guarantees.base import Absent, Case, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tokens import Jws, SigningKey, read_jws, signing_key_of

NO_JWT = "its tokens are no JWTs"
Forge = Callable[[Jws], Jws]


@dataclass
class Doors:
    """The doors that take a JWT, and what could not be told."""

    found: list[Door] = field(default_factory=list)
    untried: list[Untried] = field(default_factory=list)

    def missing(self, *, told: Sequence[Door], otherwise: str = NO_JWT) -> Iterator[Untried | Absent]:
        """What could not be told; and, where the app was understood and has none of the ``told`` doors, that."""
        yield from self.untried
        if not told and not self.untried:
            yield Absent(reason=otherwise)


def sessions(document: Document) -> Sequence[str]:
    """The principals whose requests carry a credential."""
    return [name for name, principal in document.principals.items() if principal.headers or principal.cookies]


async def jwt_doors(stage: Stage) -> Doors:
    """Every door whose genuine token is a JWT. Found once for a stage."""
    return await stage.once(jwt_doors, partial(_find, stage))


async def written_to(stage: Stage) -> list[Door]:
    """Doors behind which something changes, and whose token is a JWT; their positive twins are made when need be."""
    return [door for door in await write_doors(stage) if read_jws(door.token) is not None]


async def _find(stage: Stage) -> Doors:
    doors = Doors()
    access = await access_doors(stage)
    doors.found += [door for door in access if read_jws(door.token) is not None]
    if not access:
        doors.untried.append(no_probe())
    try:
        refresh = await refresh_door(stage)
    except StepFailedError as error:
        doors.untried.append(Untried(subject="refresh", reason=str(error)))
    else:
        if refresh is not None and read_jws(refresh.token) is not None:
            doors.found.append(refresh)
    for kind, variable, key in mailed_routes(stage):
        try:
            if not await is_jwt(stage, variable, key):
                continue
        except StepFailedError:
            continue  # AUTH010 says it, which is about every kind of token
        try:
            door = await mailed_door(stage, kind, variable, key)
        except StepFailedError as error:
            doors.untried.append(Untried(subject=key, reason=str(error)))
        else:
            doors.found += [door] if door is not None else []
    return doors


def no_probe() -> Untried:
    """Nothing can be told from refusals where nothing shows who is signed in."""
    return Untried(
        subject="access",
        reason="no GET route shows a principal something that it shows nobody else, so that it could not be seen "
        "whether a token opens it. Declare one that answers with the tenant's data.",
    )


def everything_at(door: Door) -> bool:
    """Whether all variants are tried at a door, and not only the plainest."""
    return door.main if isinstance(door, AccessDoor) else not isinstance(door, WriteDoor)


def attempt(
    door: Door, name: str, forge: Forge, seen: str, cause: str | None = None, opened: set[str] | None = None
) -> Case:
    """A case that sends a forged token to a door. ``seen`` says what was sent, and stands before what it achieved.

    Tokens are read in one place, or should be: what is wrong at several doors is one cause. It is added to ``opened``
    once it was seen, so that it need not be shown at every route that writes.
    """

    async def play() -> Harm | None:
        achieved = await door.opens(lambda text: forge(genuine(text, door)).text)
        if achieved is None:
            return None
        if opened is not None:
            opened.add(cause or name)
        return Harm(seen=f"{seen} was sent to {door.name}: {achieved}.", where=door.where)

    return Case(name=f"{name} at {door.name}", play=play, cause=cause or name)


def flipped(token: Jws) -> Jws:
    """The token with one bit of its signature changed."""
    return replace(token, signature=bytes([token.signature[0] ^ 1]) + token.signature[1:])


def genuine(text: str, door: Door) -> Jws:
    """The genuine token of a door, taken apart.

    Raises:
        StepFailedError: it is no JWT any more.
    """
    token = read_jws(text)
    if token is None:
        raise StepFailedError("its token was a JWT before, and this one is none", where=door.name)
    return token


async def still_open(doors: Iterable[Door]) -> AsyncIterator[Untried]:
    """The positive twin of each kind of token once more: refusals count for nothing when everybody is refused."""
    for door in filter(everything_at, doors):
        try:
            if await door.opens(lambda token: token) is not None:
                continue
            reason = "after the forged tokens were refused the genuine one opens nothing either"
        except StepFailedError as error:
            reason = str(error)
        yield Untried(subject=door.name, reason=reason)


async def signed_doors(stage: Stage, doors: Sequence[Door]) -> tuple[list[tuple[Door, SigningKey]], list[Untried]]:
    """Doors whose tokens can be signed anew, and why others cannot: a genuine token that is signed again must open."""
    signed: list[tuple[Door, SigningKey]] = []
    untried: list[Untried] = []
    for door in doors:
        key = signing_key_of(stage, genuine(door.token, door))
        if key is None:
            untried.append(
                Untried(
                    subject=door.name,
                    reason=f"the key that signs its {genuine(door.token, door).alg} tokens was not found in the app's "
                    "environment, in its sources, nor among those its processes were seen to sign with. Give the app "
                    "its key by `process.env`, as it is or as {secret:NAME}.",
                )
            )
        elif not everything_at(door) or await door.opens(_again(door, key)) is not None:
            signed.append((door, key))
        else:
            untried.append(
                Untried(
                    subject=door.name,
                    reason="the very claims of a genuine token, signed again with the app's own key, open nothing; so "
                    "what else is wrong with a token could not be told",
                )
            )
    return signed, untried


def _again(door: Door, key: SigningKey) -> Callable[[str], str]:
    def change(text: str) -> str:
        token = genuine(text, door)
        return key.sign(token.unsigned(claims=dict(token.claims))).text

    return change
