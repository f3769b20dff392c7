"""Refusal that tells what is there.

What production does
--------------------
Somebody of one customer tries ids they guessed or found, and reads the refusals. A different status, or one word more,
says which of them exist somewhere else. Two people send the same form at once, and one sees the database's own error.

Why apps break here
-------------------
The row is fetched by its id, and then compared with the tenant: missing is 404, foreign is 403. Ids in a body are left
to a foreign key, which finds the other tenant's row and fails later, or elsewhere. An error handler puts `str(error)`
into the answer, because that was handy once.

Wrong
-----
    order = db.get(Order, order_id)
    if order is None:
        raise HTTPException(404)
    if order.shop_id != user.shop_id:
        raise HTTPException(403)

    except IntegrityError as error:
        raise HTTPException(409, detail=str(error))

Right
-----
    order = db.scalar(select(Order).where(Order.shop_id == user.shop_id, Order.id == order_id))
    if order is None:
        raise HTTPException(404)

    except IntegrityError:
        raise HTTPException(409, detail="There is such a product already.")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial

from holdtrue.contract.words import Severity
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import business_tables
from holdtrue.guarantees.likeness import alike, tokens, unstable
from holdtrue.guarantees.tenancy.leaks import Leaks
from holdtrue.guarantees.tenancy.missing import missing_ids
from holdtrue.guarantees.tenancy.ownership import Ownership
from holdtrue.guarantees.tenancy.ten042_id_of_another_tenant import attacks, tenant_routes
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.play import FOREIGN, HOME, call, ready_for, sender_of, twin
from holdtrue.stage.scene import Call
from holdtrue.stage.steps import StepFailedError

CLAUSE = ("tenancy", "tables")


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each tenant route with ids in it: foreign against missing; then each POST twice, and what the second says."""
    leaks = await Leaks.of(stage)
    async for attack in attacks(stage):
        if isinstance(attack, Untried):
            yield attack
            continue
        key, attacker = attack
        try:
            if not await missing_ids(stage, await ready_for(stage, key), 0):
                continue
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))
            continue
        yield Case(
            name=f"{key} as {attacker}", play=partial(_foreign_or_missing, stage, leaks, key, attacker), cause=key
        )
    for key, route in stage.document.routes.items():
        if not key.startswith("POST ") or not (route.permission or route.public):
            continue
        try:
            meant = await twin(stage, key)
        except StepFailedError as error:
            yield Untried(subject=f"{key} twice", reason=str(error))
            continue
        written = business_tables(meant.rows, stage.document)
        if meant.rows and any(meant.rows.tables[table].inserted for table in written):
            yield Case(name=f"{key} twice", play=partial(_twice, stage, leaks, key), cause=key)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an attacker got for ids, and whether that concerns the victim's rows themselves."""

    answer: Answer
    words: tuple[str, ...]
    harmed: bool

    def differs(self, other: Asked, noise: frozenset[int]) -> str | None:
        """Say how two answers differ, outside of what changes anyway."""
        if self.answer.status != other.answer.status:
            return f"{self.answer.describe()}, and {other.answer.describe()}"
        if alike(self.words, other.words, noise):
            return None
        return f"{_told(self.answer)}, and {_told(other.answer)}"


def _told(answer: Answer) -> str:
    return f"{answer.describe()} with `{answer.text[:120]}`"


async def _foreign_or_missing(stage: Stage, leaks: Leaks, key: str, attacker: Who) -> Harm | None:
    """Ask with ids that nobody has, and with the first tenant's; where that differs, both once more."""
    missing = await _asked(stage, key, attacker, 1)
    foreign = await _asked(stage, key, attacker, None)
    for asked in (missing, foreign):
        if told := leaks.told(asked.answer):
            return _harm(f"{key} was sent by {attacker} with ids of nothing they have: {told}.", key)
    if foreign.harmed or stage.cast.canary(HOME) in foreign.answer.text:
        return None  # more than a hint: TEN042 tells it
    if foreign.differs(missing, frozenset()) is None:
        return None
    again = [await _asked(stage, key, attacker, number) for number in (2, None)]
    noise = _noise(missing, again[0]), _noise(foreign, again[1])
    if noise[0] is None or noise[1] is None:
        return None  # not even the same question is answered alike
    difference = foreign.differs(missing, noise[0] | noise[1])
    if difference is None or any(asked.harmed for asked in again):
        return None
    return _harm(
        f"{key} was sent by {attacker} with tenant {HOME}'s ids, and with such that nobody has; it was answered "
        f"{difference}. So it tells which ids exist.",
        key,
    )


def _noise(first: Asked, second: Asked) -> frozenset[int] | None:
    """The words that change when the same is asked again; None when more than words does."""
    return unstable(first.words, second.words) if first.answer.status == second.answer.status else None


async def _asked(stage: Stage, key: str, attacker: Who, number: int | None) -> Asked:
    """Ask with the first tenant's ids, or with the ``number``-th of those that are missing."""
    ready = await ready_for(stage, key)
    ids = await missing_ids(stage, ready, number or 0)
    asked: Call = replace(ready, variables={**ready.variables, **ids}) if number is not None else ready
    view = stage.cast.view(asked.principal, asked.tenant, dict(asked.variables))
    owned = Ownership.of(stage)
    async with stage.watch(rest=False) as seen:
        answer = await call(stage, asked, sender=attacker, at=FOREIGN)
    return Asked(
        answer=answer,
        words=tokens(answer, [view[name] for name in ids]),
        harmed=bool(seen.rows and owned.harmed(seen.rows, HOME, by=FOREIGN)),
    )


async def _twice(stage: Stage, leaks: Leaks, key: str) -> Harm | None:
    """Send the very same request twice, as two clicks do."""
    ready = await ready_for(stage, key)
    sender = sender_of(stage, ready)
    await call(stage, ready, sender=sender)
    answer = await call(stage, ready, sender=sender)
    if told := leaks.told(answer):
        return _harm(f"{key} was sent twice, as by two clicks: the second time {told}.", key)
    return None


def _harm(seen: str, key: str) -> Harm:
    return Harm(seen=seen, where=key, clause=CLAUSE)


GUARANTEE = Guarantee(
    doc=__doc__,
    code="TEN067",
    catalogue="T67",
    severity=Severity.MEDIUM,
    promise="A refusal says the same whether an id is another tenant's or nobody's, and never quotes the database.",
    why="Refusals tell one customer what others have; the database's own words tell everybody how it is built.",
    do="Fetch by tenant and id in one query, answer 404 for both, and write what a conflict says yourself.",
    do_not="Do not only make the texts alike: a status, a field more or a redirect tells as much.",
    subjects=tenant_routes,
    rehearse=rehearse,
    weight=4,
)
