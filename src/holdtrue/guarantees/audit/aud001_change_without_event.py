"""Change that leaves no audit event.

What production does
--------------------
Somebody asks who changed a price, removed a colleague, refunded an order. The answer is in the audit log, or nowhere.

Why apps break here
-------------------
The event is written by hand beside each change, or by an ORM hook that bulk statements never trigger. The call that was
forgotten, and the `UPDATE ... WHERE` that goes past the ORM, leave nothing behind.

Wrong
-----
    @event.listens_for(Product, "after_update")
    def audit(mapper, connection, product): ...

    db.execute(update(Product).values(price_cents=Product.price_cents * 2))

Right
-----
    with changes(db, actor, "products.repriced") as change:
        db.execute(update(Product).where(Product.shop_id == actor.shop_id).values(...))
        change.detail(percent=percent)

One place writes change and event, in one transaction; a trigger that refuses a commit without an event proves it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from holdtrue.contract.document import Document
from holdtrue.contract.words import Severity
from holdtrue.guarantees.audit.trails import added, changed, changing_routes, covered
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.payments.journeys import journeys
from holdtrue.stage import Stage
from holdtrue.stage.database import Difference
from holdtrue.stage.play import HOME, call_well, deliver_well, purchase, ready_for
from holdtrue.stage.tables import listed


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each changing route, and each purchase: what it changes must leave an event."""
    for key in changing_routes(stage.document):
        yield Case(name=key, play=partial(_route, stage, key), cause=key)
    for webhook, journey in journeys(stage.document):
        yield Case(
            name=f"{webhook}.{journey}",
            play=partial(_journey, stage, webhook, journey),
            cause=f"{webhook}.{journey}",
        )


async def _route(stage: Stage, key: str) -> Harm | None:
    known = stage.setting.twins.get(key)
    if known is not None and _is_told(stage.document, known.rows):
        return None
    called = await call_well(stage, await ready_for(stage, key))
    return await _judge(stage, called.rows, key, f"{key} was answered {called.answer.describe()}")


async def _journey(stage: Stage, webhook: str, journey: str) -> Harm | None:
    await stage.reset()
    events = await purchase(stage, webhook, journey, HOME, {})
    async with stage.watch() as seen:
        for event in events:
            await deliver_well(stage, webhook, event)
    types = ", ".join(event.type for event in events)
    return await _judge(stage, seen.rows, stage.document.webhooks[webhook].route, f"{types} was delivered")


def _is_told(document: Document, rows: Difference | None) -> bool:
    """Whether there is an event for what was changed, or nothing to tell of."""
    return not changed(document, rows) or added(document, rows) > 0


async def _judge(stage: Stage, rows: Difference | None, where: str, what: str) -> Harm | None:
    audit = stage.document.audit
    if audit is None or rows is None or _is_told(stage.document, rows):
        return None
    untold = {table: rows.tables[table] for table in changed(stage.document, rows)}
    # An event that is written behind the answer is late (another guarantee), but it is there.
    async with stage.watch() as later:
        pass
    if added(stage.document, later.rows):
        return None
    count = sum(len(each.inserted) + len(each.updated) + len(each.deleted) for each in untold.values())
    return Harm(
        seen=f"{what} and changed {count} row{'s' if count > 1 else ''} in {listed(untold)}; no event was written to "
        f"{', '.join(audit.tables)}.",
        where=where,
        clause=("audit", "covers") if audit.covers else ("audit", "tables"),
    )


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUD001",
    catalogue="M1",
    severity=Severity.MEDIUM,
    promise="Every change of a covered table leaves an audit event.",
    why="When money or access went wrong, nobody can say who did it; auditors and customers leave over that.",
    do="Write change and event through one place, in one transaction; bulk statements, too.",
    do_not="Do not list the table under `audit.except` to silence this, unless it truly holds no decisions of people.",
    subjects=lambda document: sorted(covered(document)),
    rehearse=rehearse,
    weight=4,
)
