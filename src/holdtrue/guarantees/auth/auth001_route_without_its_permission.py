"""Route without its permission.

What production does
--------------------
Somebody calls every route they can guess, with no token at all. One route that forgot its guard is enough, and nobody
notices, because the guarded callers never see a difference.

Why apps break here
-------------------
A guard is added per route, by hand. A sibling route is copied without its dependency, a router is included without its
`dependencies=`, or a guard takes a missing token for somebody who may look.

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

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import done
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import HOME, call, ready_for, twin
from holdtrue.stage.steps import StepFailedError


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each route with a permission: as nobody, and then as it is meant to be.

    In this order, for who is refused leaves everything as it was.
    """
    for key in guarded_routes(stage.document):
        yield _case(stage, key)
        try:
            await twin(stage, key)
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))


def guarded_routes(document: Document) -> list[str]:
    """The routes that need a permission, or somebody signed in."""
    return [key for key, route in document.routes.items() if route.permission is not None]


def _case(stage: Stage, key: str) -> Case:
    async def play() -> Harm | None:
        harm = await achieved(stage, key, None)
        if harm is None:
            return None
        return Harm(
            seen=f"{key} was sent by nobody signed in: {harm}.", where=key, clause=("routes", key, "permission")
        )

    return Case(name=f"{key} as nobody", play=play, cause=key)


async def achieved(stage: Stage, key: str, outsider: Who | None) -> str | None:
    """Say what somebody who must be refused achieves by calling a route, or None.

    Raises:
        StepFailedError: no answer came, or the route does not work for those who may call it.
    """
    ready = await ready_for(stage, key)
    async with stage.watch(rest=False) as seen:
        answer = await call(stage, ready, sender=outsider)
    if not answer.admitted and not seen.rows:
        return None
    return done(stage, answer, seen.rows, await twin(stage, key), HOME)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH001",
    catalogue="T1",
    severity=Severity.CRITICAL,
    promise="For nobody does a guarded route answer or do anything; with its permission, the same request succeeds.",
    why="Anybody who guesses the address reads or changes what only some may: customers, members, money.",
    do="Put the guard on the route, and mount routes in one place that refuses a route without one.",
    do_not="Do not declare the route `public` to silence this: it would stay open, with your signature under it.",
    subjects=guarded_routes,
    rehearse=rehearse,
    weight=3,
)
