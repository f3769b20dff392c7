"""Row of another tenant reached by its id.

What production does
--------------------
A customer changes an id in the address bar, or in a body, to one that belongs to another customer. Ids leak: in links,
mails, exports, logs; or they are counted up.

Why apps break here
-------------------
The row is fetched by its id alone, because the id is right there. Each query needs the tenant's predicate, and the one
that forgot it works in every test, for a test has but one tenant.

Wrong
-----
    order = db.get(Order, order_id)

Right
-----
    order = db.scalar(select(Order).where(Order.shop_id == principal.shop_id, Order.id == order_id))
    if order is None:
        raise HTTPException(404)

Better: FORCE row-level security, an app role that owns nothing, and keys that lead with the tenant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.contract.document import Document
from holdtrue.contract.template import json_names, names
from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.tenancy.ownership import Ownership
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.play import FOREIGN, HOME, call, principal_of, ready_for, twin
from holdtrue.stage.steps import StepFailedError


def tenant_routes(document: Document) -> list[str]:
    """Guarded routes whose answers belong to one tenant, where the document knows tenants."""
    if document.tenancy is None:
        return []
    return [key for key, route in document.routes.items() if route.permission is not None and route.scope == "tenant"]


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each tenant route with the first tenant's ids, sent by somebody of the second one who may use the route."""
    async for attack in attacks(stage):
        yield attack if isinstance(attack, Untried) else _case(stage, *attack)


async def attacks(stage: Stage) -> AsyncIterator[tuple[str, Who] | Untried]:
    """Each tenant route that is known to succeed, and somebody of the second tenant who may use it."""
    for key in tenant_routes(stage.document):
        attacker = principal_of(stage, key, FOREIGN)
        if attacker is None or attacker.tenant is None:
            continue
        try:
            await twin(stage, key)
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))
        else:
            yield key, attacker


def _case(stage: Stage, key: str, attacker: Who) -> Case:
    async def play() -> Harm | None:
        ready = await ready_for(stage, key)
        owned = Ownership.of(stage)
        async with stage.watch(rest=False) as seen:
            answer = await call(stage, ready, sender=attacker, at=FOREIGN)
        ids = ", ".join(foreign_names(stage, key))
        sent = f"{key} was sent by {attacker}" + (f" with tenant {HOME}'s {ids}" if ids else "")
        clause = ("tenancy", "tables")
        if stage.cast.canary(HOME) in answer.text or stage.cast.canary(HOME) in str(answer.headers):
            return Harm(
                seen=f"{sent}: answered {answer.describe()} with tenant {HOME}'s data.",
                where=key,
                clause=clause,
            )
        if seen.rows and (harmed := owned.harmed(seen.rows, HOME, by=FOREIGN)):
            return Harm(
                seen=f"{sent}: answered {answer.describe()}, and {'; '.join(harmed[:3])}.",
                where=key,
                clause=clause,
            )
        return None

    return Case(name=f"{key} as {attacker}", play=play, cause=key)


def foreign_names(stage: Stage, key: str) -> list[str]:
    """The variables of a route that stand for something of the tenant's."""
    route = stage.document.routes[key]
    used = {*names(key), *json_names(route.json_), *json_names(route.params), *json_names(route.query)}
    used |= {*json_names(route.form), *json_names(route.headers)}
    a, b = (stage.cast.knowledge.tenants[tenant] for tenant in (HOME, FOREIGN))
    return sorted(name for name in used - {"tenant", "canary"} if name in a and a[name] != b.get(name))


GUARANTEE = Guarantee(
    doc=__doc__,
    code="TEN042",
    catalogue="T42",
    severity=Severity.CRITICAL,
    promise="Whatever one tenant sends, no row of another tenant changes, and no byte of its data comes back.",
    why="One customer reads or changes another customer's data; that ends contracts and has to be reported by law.",
    do="Put the tenant's predicate into that query, or let row-level security enforce it for all of them.",
    do_not="Do not make the ids harder to guess instead: ids leak.",
    subjects=tenant_routes,
    rehearse=rehearse,
    weight=5,
)
