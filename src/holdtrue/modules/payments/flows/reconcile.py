"""What never arrived: Stripe's list of events, put through the same inbox; and what is silent for too long."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.payments.contract import NOTICE
from holdtrue.modules.payments.models import Reconciliation
from holdtrue.modules.payments.payloads import Notice, Sweep
from holdtrue.modules.payments.ports import Event
from holdtrue.modules.payments.settings import PaymentsSettings
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.modules.payments.webhooks.handlers import HANDLERS
from holdtrue.modules.payments.webhooks.intake import take_in
from holdtrue.runtime import UnitOfWork, Work, uuid7

FIRST = timedelta(days=3)
"""How far the first run looks back: as long as Stripe itself delivers again."""
LONGEST = timedelta(days=30)
"""Stripe lists no older events (https://docs.stripe.com/api/events)."""
OVERLAP = timedelta(hours=1)
"""An event may be listed later than one that was created after it."""
OVERDUE = timedelta(days=1)


async def reconcile(work: Work, sweep: Sweep) -> None:
    """The job. Whatever is known already is left alone, so it may run at any time and twice at once.

    Events are listed newest first, page by page, back to where the last complete run began; a run that dies on the way
    moves that mark not at all.
    """
    settings = work.port(PaymentsSettings)
    async with work.unit() as unit:
        began = unit.now() - timedelta(seconds=settings.reconcile_after_seconds)
        since = await _read_until(unit, began)
    cursor: str | None = None
    while True:
        events, cursor = await work.port(PaymentsPorts).stripe.events(list(HANDLERS), (since, began), cursor)
        async with work.unit() as unit:
            await _keep(unit, events, live=settings.live)
        if cursor is None:
            break
    async with work.finish() as unit:
        await _ask_for_overdue(unit, began)
        await _mark(unit, began)


async def _read_until(unit: UnitOfWork, now: datetime) -> datetime:
    known = await unit.session.scalar(select(Reconciliation.read_until).where(Reconciliation.provider == "stripe"))
    since: datetime = now - FIRST if known is None else known - OVERLAP
    return max(since, now - LONGEST)


async def _keep(unit: UnitOfWork, events: list[Event], *, live: bool) -> None:
    # Oldest first, in the inbox's order: what is applied in order needs fewer readings, though any order does.
    for event in reversed(events):
        if event.livemode == live and event.account is None:
            await take_in(unit, event, live=live)


async def _ask_for_overdue(unit: UnitOfWork, now: datetime) -> None:
    """Objects of ours whose news are late by a day: their events may be older than Stripe lists."""
    rows = await unit.session.execute(
        text("SELECT type, object_id FROM payments_overdue(:before)"), {"before": now - OVERDUE}
    )
    for row in rows.all():
        key = f"overdue:{row.object_id}:{now.date()}"
        await unit.receive(NOTICE, Notice(type=row.type, object_id=row.object_id), key=key)


async def _mark(unit: UnitOfWork, began: datetime) -> None:
    made = insert(Reconciliation).values(id=uuid7(), provider="stripe", read_until=began)
    later = func.greatest(Reconciliation.read_until, made.excluded.read_until)
    await unit.session.execute(made.on_conflict_do_update(index_elements=["provider"], set_={"read_until": later}))
