"""How long an idle app is watched before anybody says what its habits are."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from holdtrue.stage import quiet
from holdtrue.stage.quiet import Quiet
from holdtrue.stage.wire import Statement

from .test_habits import POLL, said


class Talk:
    """A wire on which a worker polls at given moments after a recording began, behind a greeting at its start."""

    def __init__(self, *moments: float) -> None:
        self._moments = moments

    @contextmanager
    def record(self) -> Iterator[Any]:
        statements: list[Statement] = []
        loop = asyncio.get_running_loop()
        start = loop.time()
        statements.append(said("select version()", start, "SELECT 1"))
        timers = [loop.call_later(at, statements.append, said(POLL, start + at, "SELECT 0")) for at in self._moments]
        yield SimpleNamespace(statements=statements)
        for timer in timers:
            timer.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "LEARNING", 0.06)
    monkeypatch.setattr(quiet, "LONG_LEARNING", 0.6)


def watching(*moments: float) -> Quiet:
    return Quiet(Talk(*moments), None, lambda _: [])  # type: ignore[arg-type]


async def test_a_worker_that_polls_slowly_is_heard() -> None:
    listener = watching(0.15, 0.4)
    await listener.learn(worker=True)
    assert listener.habits.polls == {("worker", POLL)}


async def test_a_greeting_at_the_start_is_no_habit() -> None:
    listener = watching(0.15, 0.4)
    await listener.learn(worker=True)
    assert ("worker", "select version()") not in listener.habits.said


async def test_what_polls_often_is_known_soon() -> None:
    moments = [index * 0.004 for index in range(100)]
    listener = watching(*moments)
    await listener.learn(worker=True)
    assert listener.habits.polls == {("worker", POLL)}
    heard_last = max(listener.habits.interval, 0.0)
    assert heard_last < 0.06
