"""Token of another kind.

What production does
--------------------
An app signs several kinds of tokens: to sign in, to renew the session, to reset a password, to confirm an address, to
accept an invitation. Each travels by another way and lives for another time. Somebody sends one where another is meant:
the link out of an old mail as a session, or the fifteen minutes' token to set a new password.

Why apps break here
-------------------
One function signs them all and one reads them all, with one key. Whoever reads asks whether the token is genuine, and
not what it was issued for.

Wrong
-----
    def set_password(token: str, new: str):
        user_id = decode(token)["sub"]

Right
-----
    def set_password(token: str, new: str):
        user_id = decode(token, key=derive(SECRET, "reset"), required_type="reset")["sub"]

Sources: RFC 8725 §2.8, §3.11 and §3.12 (explicit types, exclusive validation rules), RFC 9700 §4.14, ASVS 5.0 9.2.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.doors import AccessDoor, Change, Door, MailedDoor, RefreshDoor, WriteDoor, mailed_token
from holdtrue.guarantees.auth.finding import access_doors, mailed_door, mailed_routes, refresh_door, write_doors
from holdtrue.guarantees.auth.forging import no_probe, sessions, still_open
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Untried
from holdtrue.stage import Stage
from holdtrue.stage.play import make_ready
from holdtrue.stage.scene import Call
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tokens import mailed_kinds

ACCESS = "access"
OUR_SCENE = "tokens of every kind"
"""What the stage stands ready for between two cases."""


@dataclass(kw_only=True)
class Kinds:
    """The doors of an app, and tokens of every kind that are good at the same time."""

    stage: Stage
    access: Sequence[AccessDoor]
    refresh: RefreshDoor | None
    mailed: Sequence[MailedDoor]
    guarded: Sequence[AccessDoor | WriteDoor]
    """Every other route that an access token opens."""
    ready: dict[str, Call]
    taken: set[str]
    """Kinds that were taken for an access token."""

    def doors(self) -> list[Door]:
        """Where a token is taken."""
        return [*self.access, *([self.refresh] if self.refresh is not None else []), *self.mailed]

    def named(self, door: Door) -> str:
        """What a door takes, for a person."""
        match door:
            case AccessDoor() | WriteDoor() if len(self.access) > 1:
                return f"access token of {door.who.name}"
            case AccessDoor() | WriteDoor():
                return "access token"
            case MailedDoor():
                return f"mailed {door.variable}"
        return "refresh token"

    async def come_true(self) -> None:
        """Have a genuine token of each kind; those of mails are made in one database, one after the other."""
        standing = self.stage.standing
        if standing is not None and standing.key == OUR_SCENE:
            return
        await self.stage.fresh()
        self.ready = {door.key: await make_ready(self.stage, door.key) for door in self.mailed}
        for ready in self.ready.values():
            self.stage.stand(replace(ready, key=OUR_SCENE))

    def token(self, door: Door) -> str:
        """A genuine token of a door's kind, as it is now."""
        if isinstance(door, MailedDoor):
            return mailed_token(self.stage, self.ready[door.key], door.variable)
        return door.token

    async def opens(self, door: Door, change: Change) -> str | None:
        """Send a token to a door, among the others."""
        match door:
            case AccessDoor() | WriteDoor() | RefreshDoor():
                return await door.opens_now(change)
            case MailedDoor():
                return await door.opens_ready(self.ready[door.key], change)
        raise AssertionError(door)


async def rehearse(stage: Stage) -> AsyncIterator[Tried]:
    """A genuine token of each kind at the doors of all others."""
    found = await access_doors(stage)
    access = [door for door in found if door.main]
    if not access:
        yield no_probe()
    guarded: list[AccessDoor | WriteDoor] = [*(door for door in found if not door.main), *await write_doors(stage)]
    kinds = Kinds(stage=stage, access=access, refresh=None, mailed=[], guarded=guarded, ready={}, taken=set())
    for untried in await _find(kinds):
        yield untried
    pairs = [(alien, door) for door in (*kinds.doors(), *guarded) for alien in _aliens(kinds, door)]
    if not pairs and access:
        yield Absent(reason="its principals have one kind of credential, and no mail brings another")
    for alien, door in pairs:
        # A guard that takes one for the other at one route does so at all: that need not be shown at each.
        if door not in guarded or kinds.named(alien) not in kinds.taken:
            yield _case(kinds, alien, door)
    async for untried in still_open(access):
        yield untried


async def _find(kinds: Kinds) -> list[Untried]:
    untried: list[Untried] = []
    try:
        kinds.refresh = await refresh_door(kinds.stage)
    except StepFailedError as error:
        untried.append(Untried(subject="refresh", reason=str(error)))
    found: list[MailedDoor] = []
    for kind, variable, key in mailed_routes(kinds.stage):
        try:
            door = await mailed_door(kinds.stage, kind, variable, key)
        except StepFailedError as error:
            untried.append(Untried(subject=key, reason=str(error)))
        else:
            found += [door] if door is not None else []
    kinds.mailed = found
    return untried


def _aliens(kinds: Kinds, door: Door) -> list[Door]:
    """Doors of other kinds, one of each; at the many guarded routes only the one that is most like an access token.

    That tokens of two access kinds differ in what they may is another promise.
    """
    others = {
        kinds.named(other): other
        for other in reversed(kinds.doors())
        if _group(other) != _group(door) and other.token != door.token
    }
    aliens = list(reversed(others.values()))
    return aliens[:1] if door in kinds.guarded else aliens


def _group(door: Door) -> object:
    match door:
        case MailedDoor():
            return door.kind.variables
        case RefreshDoor():
            return "refresh"
    return ACCESS


def _case(kinds: Kinds, alien: Door, door: Door) -> Case:
    async def play() -> Harm | None:
        await kinds.come_true()
        token = kinds.token(alien)
        achieved = await kinds.opens(door, lambda _: token)
        if achieved is None:
            return None
        if _group(door) == ACCESS:
            kinds.taken.add(kinds.named(alien))
        return Harm(
            seen=f"The {kinds.named(alien)} was sent to {door.name}, where the {kinds.named(door)} belongs: "
            f"{achieved}.",
            where=door.where,
        )

    return Case(
        name=f"{kinds.named(alien)} at {door.name}", play=play, cause=ACCESS if _group(door) == ACCESS else door.where
    )


def _kinds(document: Document) -> list[str]:
    others = [*(["refresh"] if document.refresh is not None else []), *(str(kind) for kind in mailed_kinds(document))]
    return [*sessions(document), *others] if others else []


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH010",
    catalogue="T10",
    severity=Severity.HIGH,
    promise="A token opens only what its kind is for: to sign in, to renew, to reset, to accept.",
    why="A token that was meant for little, or went by an unsafe way, opens the account: an old mail is a session.",
    do="Give each kind a key of its own (derived from the secret), or a type that whoever reads it requires.",
    do_not="Do not tell the kinds apart by what claims they happen to have: two will have the same one day.",
    subjects=_kinds,
    rehearse=rehearse,
    weight=4,
)
