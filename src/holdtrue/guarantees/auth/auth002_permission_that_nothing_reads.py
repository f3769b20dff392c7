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

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.auth001_route_without_its_permission import achieved
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import HOME, twin
from holdtrue.stage.steps import StepFailedError


def permission_routes(document: Document) -> list[str]:
    """The routes for which being signed in is not enough."""
    return [key for key, route in document.routes.items() if route.permission not in (None, "signed_in")]


def lacking(stage: Stage, permission: str) -> list[Who]:
    """Who of the first tenant is signed in and lacks a permission."""
    return [who for who in stage.cast.members() if who.tenant == HOME and not stage.cast.holds(who, permission)]


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each route with a permission: as each colleague who lacks it, and then as it is meant to be."""
    for key in permission_routes(stage.document):
        colleagues = lacking(stage, str(stage.document.routes[key].permission))
        for colleague in colleagues:
            yield _case(stage, key, colleague)
        if colleagues:
            try:
                await twin(stage, key)
            except StepFailedError as error:
                yield Untried(subject=key, reason=str(error))


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
