"""Events that follow from a webhook: its handler calls the provider, which tells the app of that, too."""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.payments import Event
from holdtrue.stage.steps import StepFailedError

MOST = 20
"""Events that follow one after the other before they are taken to have no end."""


async def following(stage: Stage, webhook: str, since: int) -> AsyncIterator[Event]:
    """Each event that calls of the app have caused, and that it has not been told yet; the first ``since`` are older.

    The next one is looked for when the caller has delivered the one before.

    Raises:
        StepFailedError: there is no end to them.
    """
    told: set[str] = set()
    payments, types = stage.payments, stage.document.webhooks[webhook].events
    while news := [
        event
        for event in payments.events[since:]
        if event.request_id is not None
        and (not types or event.type in types)
        and event.id not in told | payments.world.delivered
    ]:
        if len(told) == MOST:
            raise StepFailedError(
                f"the app's webhooks trigger each other without end: after {MOST} events that calls of its own had "
                f"caused there was another, {news[0].type}",
                where=stage.document.webhooks[webhook].route,
                why="In production it goes on until the provider refuses, and each round may move money.",
                do="Let a handler call the provider only about what it has not done yet, and do nothing where an "
                "event tells of the app's own call.",
            )
        told.add(news[0].id)
        yield news[0]


def note_refusal(stage: Stage, webhook: str, event: Event, answer: Answer) -> None:
    """An event that follows and is never taken is no purchase that failed, but it is told."""
    if not answer.admitted:
        stage.setting.notes.add(
            f"{stage.document.webhooks[webhook].route} answered {answer.describe()} to {event.type}, which a call of "
            "the app's own had caused: what it would have done then was not looked at"
        )
