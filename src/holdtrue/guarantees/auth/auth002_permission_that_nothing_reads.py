"""Permission that nothing reads.

What production does
--------------------
A colleague who may only look sends the request that changes, refunds or invites: the address is in the app's own pages.
Somebody who was given little, or took over the laptop of somebody who was, is signed in, and tries.

Why apps break here
-------------------
The route asks whether anybody is signed in, and not what they may do. A scope is declared in `Security(...)` that
nothing reads, the button is hidden and the route behind it is not guarded, or a role is compared in one handler only.

Wrong
-----
    @router.post("/orders/{order_id}/refund")
    def refund(order_id: UUID, user: Annotated[User, Security(current_user, scopes=["orders.refund"])]): ...

    def current_user(token: Annotated[str, Depends(bearer)]) -> User:  # SecurityScopes are never asked for
        return user_of(token)

Right
-----
    def current_user(scopes: SecurityScopes, token: Annotated[str, Depends(bearer)]) -> User:
        user = user_of(token)
        if not set(scopes.scopes) <= user.permissions:
            raise HTTPException(403)
        return user

Better: mount routes through one place that knows each route's permission and compares it before the handler runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.auth001_route_without_its_permission import achieved
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import done
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import HOME, answered, principal_of, ready_for, request_of, twin
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tokens import Jws, SigningKey, carried, read_jws, signing_key_of

SCOPES = ("scope", "scp")
"""The claim of what a token is good for: RFC 9068 §2.2.3, and what another wide-spread issuer calls it."""


def permission_routes(document: Document) -> list[str]:
    """The routes for which being signed in is not enough."""
    return [key for key, route in document.routes.items() if route.permission not in (None, "signed_in")]


def lacking(stage: Stage, permission: str) -> list[Who]:
    """Who of the first tenant is signed in and lacks a permission."""
    return [who for who in stage.cast.members() if who.tenant == HOME and not stage.cast.holds(who, permission)]


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each route with a permission: as each colleague who lacks it, and then as it is meant to be.

    Where tokens name what they are good for, also with the token of somebody who may, and nothing named in it.
    """
    tokens: dict[Who, Scoped | None] = {}
    for key in permission_routes(stage.document):
        colleagues = lacking(stage, str(stage.document.routes[key].permission))
        for colleague in colleagues:
            yield _case(stage, key, colleague)
        owner = principal_of(stage, key)
        try:
            await twin(stage, key)
            if owner is not None and owner not in tokens:
                tokens[owner] = await _scoped(stage, key, owner)
        except StepFailedError as error:
            if colleagues:
                yield Untried(subject=key, reason=str(error))
            continue
        scoped = tokens.get(owner) if owner is not None else None
        # A purchase first, for a guard that is the same everywhere, would take longer than all the other routes.
        cheap = stage.document.routes[key].after is None
        if cheap and scoped is not None and scoped.names(str(stage.document.routes[key].permission)):
            yield _emptied(stage, key, scoped)


def _case(stage: Stage, key: str, colleague: Who) -> Case:
    async def play() -> Harm | None:
        harm = await achieved(stage, key, colleague)
        if harm is None or await achieved(stage, key, None) is not None:
            return None  # what anybody may do is told by AUTH001
        permission = stage.document.routes[key].permission
        return Harm(
            seen=f"{key} was sent by {colleague.name}, who is signed in and lacks `{permission}`: {harm}.",
            where=key,
            clause=("routes", key, "permission"),
        )

    return Case(name=f"{key} as {colleague}", play=play, cause=key)


@dataclass(frozen=True, kw_only=True)
class Scoped:
    """A principal's token that names permissions, and the key that signs such tokens."""

    who: Who
    variable: str
    claim: str
    genuine: Jws
    key: SigningKey

    def names(self, permission: str) -> bool:
        """Whether the token says that it is good for a permission."""
        told = self.genuine.claims[self.claim]
        return permission in (told.split() if isinstance(told, str) else told)

    @property
    def empty(self) -> str:
        """The same token with nothing named, rightly signed."""
        nothing: object = "" if isinstance(self.genuine.claims[self.claim], str) else []
        return self.signed({**self.genuine.claims, self.claim: nothing})

    def signed(self, claims: dict[str, object]) -> str:
        """The token with these claims, rightly signed."""
        return self.key.sign(self.genuine.unsigned(claims=claims)).text


async def _scoped(stage: Stage, key: str, who: Who) -> Scoped | None:
    """The principal's token, if it names permissions and its claims, signed again, open the route as before."""
    for variable, text in carried(stage.cast, who).items():
        genuine = read_jws(text)
        claim = next((name for name in SCOPES if genuine and isinstance(genuine.claims.get(name), str | list)), None)
        signing = signing_key_of(stage, genuine) if genuine is not None and claim is not None else None
        if genuine is not None and claim is not None and signing is not None:
            scoped = Scoped(who=who, variable=variable, claim=claim, genuine=genuine, key=signing)
            return scoped if await _achieves(stage, key, scoped, scoped.signed(dict(genuine.claims))) else None
    return None


def _emptied(stage: Stage, key: str, scoped: Scoped) -> Case:
    async def play() -> Harm | None:
        harm = await _achieves(stage, key, scoped, scoped.empty)
        if harm is None or await achieved(stage, key, None) is not None:
            return None
        permission = stage.document.routes[key].permission
        return Harm(
            seen=f"{key} was sent with a token of {scoped.who.name} whose `{scoped.claim}` names nothing, where others "
            f"name `{permission}`: {harm}.",
            where=key,
            clause=("routes", key, "permission"),
        )

    return Case(name=f"{key} as {scoped.who} with an empty scope", play=play, cause="scope")


async def _achieves(stage: Stage, key: str, scoped: Scoped, token: str) -> str | None:
    """Say what a route does for a token, or None."""
    stage.redactor.learn("forged token", token)
    ready = await ready_for(stage, key)
    known = stage.cast.knowledge.principals[scoped.who]
    before, known[scoped.variable] = known[scoped.variable], token
    request = request_of(stage, ready, sender=scoped.who, at=HOME)
    known[scoped.variable] = before
    async with stage.watch(rest=False) as seen:
        answer = await stage.player.send_rendered(request, sender=scoped.who)
    if answer.failed:
        stage.doubt = key
    return done(stage, answered(answer, key), seen.rows, await twin(stage, key), HOME)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH002",
    catalogue="T2",
    severity=Severity.CRITICAL,
    promise="Somebody signed in who lacks a route's permission is refused, and nothing happens.",
    why="The least trusted account in a customer's team gives refunds, reads the history or removes the owner.",
    do="Compare the caller's permissions with the route's in the guard that all routes share, before the handler runs.",
    do_not="Do not hide the button only, nor declare the lesser permission: the request can be sent without any page.",
    subjects=permission_routes,
    rehearse=rehearse,
    weight=5,
)
