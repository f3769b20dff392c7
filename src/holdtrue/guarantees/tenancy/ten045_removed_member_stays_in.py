"""Removed member who stays in.

What production does
--------------------
A member is removed, a tenant is suspended, and the person keeps the app open. Their token is still in the browser and
valid for minutes or days.

Why apps break here
-------------------
Role and tenant are read from the token's claims, which say what was true when it was issued. Or the guard looks the
membership up, but one route, or the refresh of the token, uses another dependency that does not.

Wrong
-----
    def principal(token: str = Depends(bearer)) -> Principal:
        claims = decode(token)
        return Principal(claims["sub"], claims["tenant"], claims["role"])

Right
-----
    def principal(token: str = Depends(bearer), db: Session = Depends(get_db)) -> Principal:
        claims = decode(token)
        membership = db.get(Membership, (claims["tenant"], claims["sub"]))
        if membership is None or not membership.live:
            raise HTTPException(401)
        return Principal(claims["sub"], claims["tenant"], membership.role)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial

from holdtrue.contract.document import Removal
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import done
from holdtrue.guarantees.tenancy.ten042_id_of_another_tenant import tenant_routes
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import HOME, answered, call, make_ready, ready_for
from holdtrue.stage.scene import Twin
from holdtrue.stage.steps import StepFailedError, meets


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each route a member may use: before the removal it answers, after it no more; nor does the refresh."""
    tenancy = stage.document.tenancy
    for name, removal in (tenancy.removals if tenancy else {}).items():
        member = stage.cast.who(removal.principal, HOME)
        open_before: dict[str, Twin] = {}
        for key in tenant_routes(stage.document):
            if not stage.cast.holds(member, str(stage.document.routes[key].permission)):
                continue
            try:
                meant = await _before(stage, key, member)
            except StepFailedError as error:
                yield Untried(subject=f"{name}: {key}", reason=str(error))
                continue
            open_before[key] = meant
            yield _case(stage, name, removal, key, member, meant)
        if "refresh_token" in stage.cast.view(member, None) and stage.document.refresh is not None:
            yield Case(
                name=f"{name}: refresh",
                play=partial(_refresh, stage, name, removal, member, open_before),
                cause=name,  # where the routes do not ask, the new tokens open them as the old ones do
            )


async def _before(stage: Stage, key: str, member: Who) -> Twin:
    """The positive twin: the member calls the route before anything happens to the membership."""
    ready = await ready_for(stage, key)
    async with stage.watch(rest=False) as seen:
        answer = await call(stage, ready, sender=member)
    if not meets(ready.route.expect, answer):
        raise StepFailedError(f"{member} was answered {answer.describe()} while still a member", where=key)
    stage.setting.reached.add(key)
    return Twin(answer=answer, rows=seen.rows)


def _case(stage: Stage, name: str, removal: Removal, key: str, member: Who, meant: Twin) -> Case:
    async def play() -> Harm | None:
        ready = await ready_for(stage, key)
        await _remove(stage, removal)
        async with stage.watch(rest=False) as seen:
            answer = await call(stage, ready, sender=member)
        harm = done(stage, answer, seen.rows, meant, HOME)
        if harm is None:
            return None
        return Harm(
            seen=f"After `{name}`, {member}'s token was used for {key}: {harm}.",
            where=key,
            clause=("tenancy", "removals", name),
        )

    return Case(name=f"{name}: {key}", play=play, cause=name)


async def _refresh(
    stage: Stage, name: str, removal: Removal, member: Who, open_before: Mapping[str, Twin]
) -> Harm | None:
    """New tokens alone are no harm, as an account may outlive its membership: what they open is."""
    told = stage.document.refresh
    if told is None:
        return None
    await stage.fresh()
    token = stage.cast.view(member, HOME)["refresh_token"]
    await _remove(stage, removal)
    view = stage.cast.view(member, HOME, {"refresh_token": token})
    answer = await stage.player.send(told.step, sender=None, tenant=HOME, view=view)
    answered(answer, told.step.request)
    renewed = answer.capture(told.step.capture.get("access_token", "access_token"))
    if not answer.admitted or renewed is None:
        return None
    stage.redactor.learn_all({"access_token": renewed})
    stage.cast.knowledge.principals[member]["access_token"] = renewed
    for key, meant in open_before.items():
        ready = await make_ready(stage, key)
        async with stage.watch(rest=False) as seen:
            opened = await call(stage, ready, sender=member)
        if harm := done(stage, opened, seen.rows, meant, HOME):
            return Harm(
                seen=f"After `{name}`, {member}'s refresh token was answered {answer.describe()} with new tokens, and "
                f"they open {key}: {harm}.",
                where=told.step.request,
                clause=("tenancy", "removals", name),
            )
    return None


async def _remove(stage: Stage, removal: Removal) -> None:
    await stage.player.play(removal.steps, who=None, tenant=HOME, extra={})


GUARANTEE = Guarantee(
    doc=__doc__,
    code="TEN045",
    catalogue="T45",
    severity=Severity.HIGH,
    promise="Somebody who was removed, or whose tenant was suspended, is out at the next request.",
    why="A former employee or a suspended customer goes on reading and changing the tenant's data.",
    do="Look the membership up in the database at every request, also in the refresh, in the one guard all routes use.",
    do_not="Do not only shorten the token's life: minutes suffice to export everything.",
    subjects=lambda document: list(document.tenancy.removals) if document.tenancy else [],
    rehearse=rehearse,
    weight=3,
)
