"""Changes and the events that they leave: what a route or a purchase does to covered tables when nothing is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from holdtrue.contract.document import Document
from holdtrue.guarantees.base import Untried
from holdtrue.guarantees.payments.journeys import journeys
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.database import Difference
from holdtrue.stage.payments import Event
from holdtrue.stage.play import (
    AT_ONCE,
    HOME,
    call,
    call_well,
    deliver_until_taken,
    deliver_well,
    purchase,
    ready_for,
    sender_of,
)
from holdtrue.stage.scene import Call
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import qualified_all
from holdtrue.stage.wire import Statement

CHANGING = ("POST", "PUT", "PATCH", "DELETE")
A_DAY = 86_400
"""Seconds after which back-offs and leases have run out."""


def covered(document: Document) -> set[str]:
    """The tables whose every change must leave an event."""
    if document.audit is None:
        return set()
    tables = document.audit.covers or (document.tenancy.tables if document.tenancy else {})
    left_out = qualified_all([*document.audit.tables, *document.audit.except_])
    return set(qualified_all(tables) - left_out)


def changed(document: Document, rows: Difference | None) -> set[str]:
    """The covered tables that a difference touches."""
    return covered(document) & (rows.tables.keys() if rows else set())


def added(document: Document, rows: Difference | None) -> int:
    """How many events a difference adds."""
    tables = rows.tables if rows else {}
    history = qualified_all(document.audit.tables if document.audit else ())
    return sum(len(tables[table].inserted) for table in history if table in tables)


def changing_routes(document: Document) -> list[str]:
    """The routes that may change something, but for webhooks."""
    return [
        key
        for key, route in document.routes.items()
        if key.startswith(CHANGING) and route.signature is None and route.out_of_scope is None
    ]


@dataclass(frozen=True, kw_only=True)
class Trail:
    """What changes covered tables and leaves an event, when nothing is wrong."""

    name: str
    """The route's key, or ``webhook.journey``."""
    where: str
    """The route."""
    journey: tuple[str, str] | None
    """The webhook and its journey; None where the route itself is called."""
    statements: tuple[Statement, ...]
    """Up to the answer, or behind it as well where the event comes there."""
    late: bool
    """The event comes behind the answer."""


async def trails(stage: Stage) -> AsyncIterator[Trail | Untried]:
    """Everything the document knows that changes covered tables and leaves an event."""
    for key in changing_routes(stage.document):
        try:
            trail = await _of_route(stage, key)
        except StepFailedError as error:
            yield Untried(subject=key, reason=str(error))
            continue
        if trail is not None:
            yield trail
    for webhook, journey in journeys(stage.document):
        try:
            trail = await _of_journey(stage, webhook, journey)
        except StepFailedError as error:
            yield Untried(subject=f"{webhook}.{journey}", reason=str(error))
            continue
        if trail is not None:
            yield trail


async def _of_route(stage: Stage, key: str) -> Trail | None:
    document = stage.document
    known = stage.setting.twins.get(key) or await call_well(stage, await ready_for(stage, key))
    if not changed(document, known.rows):
        return None
    if added(document, known.rows):
        return Trail(name=key, where=key, journey=None, statements=known.statements, late=False)
    ready = await ready_for(stage, key)
    async with stage.watch() as seen:
        await call(stage, ready, sender=sender_of(stage, ready))
    if not added(document, seen.rows):
        return None  # it leaves none at all: another guarantee
    return Trail(name=key, where=key, journey=None, statements=tuple(seen.statements), late=True)


async def _of_journey(stage: Stage, webhook: str, journey: str) -> Trail | None:
    document = stage.document
    await stage.reset()
    events = await purchase(stage, webhook, journey, HOME, {})
    await stage.rest()
    async with stage.watch() as seen:
        for event in events:
            await deliver_well(stage, webhook, event)
    if not (changed(document, seen.rows) and added(document, seen.rows)):
        return None
    return Trail(
        name=f"{webhook}.{journey}",
        where=document.webhooks[webhook].route,
        journey=(webhook, journey),
        statements=tuple(seen.statements),
        late=True,
    )


async def prepare(stage: Stage, trail: Trail) -> Callable[[], Coroutine[None, None, list[Answer]]]:
    """Go to right before the change, and return what makes it: the last answer tells whether it succeeded.

    A webhook is redelivered as long as it sees no 2xx, a few times.

    Raises:
        StepFailedError: a step was refused.
    """
    if trail.journey is None:
        ready = await ready_for(stage, trail.where)
        return partial(_call, stage, ready)
    await stage.reset()
    events = await purchase(stage, *trail.journey, HOME, {})
    await stage.rest()
    return partial(_deliver, stage, trail.journey[0], events)


async def _call(stage: Stage, ready: Call) -> list[Answer]:
    return [await call(stage, ready, sender=sender_of(stage, ready))]


async def _deliver(stage: Stage, webhook: str, events: list[Event]) -> list[Answer]:
    answers: list[Answer] = []
    for event in events:
        # Where nothing is to be taken, as no event of the history can be written, it would be waited for in vain.
        answers += await deliver_until_taken(stage, webhook, event, pauses=AT_ONCE)
        if not answers[-1].admitted:
            break
    return answers


async def count(stage: Stage) -> int:
    """How many events there are."""
    rows = (await stage.rows()).rows
    audit = stage.document.audit
    return sum(len(rows.get(table, ())) for table in qualified_all(audit.tables if audit else ()))


async def comes_later(stage: Stage, at_least: int, *, patient: bool = True) -> bool:
    """Whether there are so many events in the end: behind the answer, after a day, or once the processes start anew.

    One that is not ``patient`` waits for the work behind the answer only.
    """
    await stage.rest()
    if await count(stage) >= at_least or not patient:
        return await count(stage) >= at_least
    await stage.age(A_DAY)
    await stage.rest()
    if await count(stage) >= at_least:
        return True
    await stage.restart()  # a timer in somebody's memory does not age with the rows
    await stage.rest()
    return await count(stage) >= at_least
