"""Route without its permission.

What production does
--------------------
Somebody calls every route they can guess: with no token, and with the token of a colleague who may do less. One route
that forgot its guard is enough, and nobody notices, because the guarded callers never see a difference.

Why apps break here
-------------------
A guard is added per route, by hand. A sibling route is copied without its dependency, a router is included without its
`dependencies=`, a second method on the same path is left open, or a scope is declared that nothing reads.

Wrong
-----
    @router.delete("/members/{member_id}")
    def remove(member_id: int, db: Session = Depends(get_db)): ...

Right
-----
    @router.delete("/members/{member_id}", dependencies=[Depends(requires("members.manage"))])
    def remove(member_id: int, db: Session = Depends(get_db)): ...

Better: mount routes through one place that refuses a route without a permission.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import done
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import HOME, call, ready_for, twin
from holdtrue.stage.steps import StepFailedError


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each route with a permission: as nobody, as each member who lacks it, and at last as it is meant to be.

    In this order, for who is refused leaves everything as it was.
    """
    for key, route in stage.document.routes.items():
        if route.permission is None:
            continue
        for outsider in outsiders(stage, route.permission):
            yield _case(stage, key, outsider)
        try:
            await twin(stage, key)
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))


def outsiders(stage: Stage, permission: str) -> list[Who | None]:
    """Nobody, and whoever of the same tenant lacks the permission."""
    colleagues = [who for who in stage.cast.members() if who.tenant == HOME and not stage.cast.holds(who, permission)]
    return [None, *colleagues]


def _case(stage: Stage, key: str, outsider: Who | None) -> Case:
    async def play() -> Harm | None:
        ready = await ready_for(stage, key)
        async with stage.watch(rest=False) as seen:
            answer = await call(stage, ready, sender=outsider)
        if not answer.admitted and not seen.rows:
            return None
        harm = done(stage, answer, seen.rows, await twin(stage, key), HOME)
        if harm is None:
            return None
        permission = stage.document.routes[key].permission
        sender = f"{outsider.name}, who lacks `{permission}`" if outsider else "nobody signed in"
        return Harm(seen=f"{key} was sent by {sender}: {harm}.", where=key, clause=("routes", key, "permission"))

    return Case(name=f"{key} as {outsider or 'nobody'}", play=play, cause=key)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH001",
    catalogue="T1",
    severity=Severity.CRITICAL,
    promise="Without its permission a guarded route refuses and does nothing; with it, the same request succeeds.",
    why="Anybody who guesses the address can read or change what only some may: data of customers, members, money.",
    do="Put the guard on the route, and mount routes in one place that refuses a route without one.",
    do_not="Do not declare the route `public` to silence this: it would stay open, with your signature under it.",
    subjects=lambda document: [key for key, route in document.routes.items() if route.permission is not None],
    rehearse=rehearse,
    weight=5,
)
