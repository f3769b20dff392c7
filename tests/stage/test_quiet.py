"""How long an idle app is watched before anybody says what its habits are."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from holdtrue.stage import quiet
from holdtrue.stage.crew import WEB, WORKER
from holdtrue.stage.habits import Habits, learned
from holdtrue.stage.quiet import Quiet
from holdtrue.stage.wire import InFlight, Statement

from .test_habits import NOBODY, POLL, said


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
    return Quiet(Talk(*moments), None, None, NOBODY)  # type: ignore[arg-type]


async def test_a_worker_that_polls_slowly_is_heard() -> None:
    listener = watching(0.15, 0.4)
    await listener.learn(worker=True)
    assert listener.habits.polls == {("worker", POLL)}


async def test_who_was_heard_to_look_for_work_is_told_from_who_waits_to_be_told() -> None:
    listener = watching(0.15, 0.4)
    await listener.learn(worker=True)
    assert listener.is_polling(WORKER)
    assert not listener.is_polling("web1")


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


BUSY = """
import sys, time
for line in sys.stdin:
    print("begun", flush=True)
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
    print("done", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in /proc")
async def test_a_worker_that_computes_is_at_work_though_it_says_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BUSY, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pids = {WORKER: [process.pid], WEB: []}
        silent = SimpleNamespace(in_flight=tuple, greeting=False, record=Talk().record)
        listener = Quiet(
            silent,
            SimpleNamespace(attempts=[]),
            SimpleNamespace(awaited=False),
            SimpleNamespace(pids=pids.__getitem__, guard_pids=lambda _: []),
        )  # type: ignore[arg-type]
        assert await listener.rest()
        process.stdin.write(b"work\n")
        assert await process.stdout.readline() == b"begun\n"
        done = asyncio.create_task(process.stdout.readline())
        assert await listener.rest()
        assert done.done(), "rest was told while the worker was at work"
        assert await done == b"done\n"
    finally:
        process.stdin.close()
        await process.wait()


@pytest.mark.parametrize("what", ["a double's answer", "its own greeting", "a transaction's begin"])
async def test_who_waits_for_an_answer_is_at_work_though_nothing_of_it_runs(what: str) -> None:
    waiting = {what}
    begin = InFlight(process=WORKER, connection=1, backend=1, sql="BEGIN", shape="begin", held=False)

    class Payments:
        awaited = property(lambda _: "a double's answer" in waiting)

    class Silent(Talk):
        greeting = property(lambda _: "its own greeting" in waiting)

        def in_flight(self) -> list[InFlight]:
            return [begin] if "a transaction's begin" in waiting else []

    listener = Quiet(Silent(), SimpleNamespace(attempts=[]), Payments(), NOBODY)  # type: ignore[arg-type]
    listener.habits = Habits(said={(WORKER, "begin"): frozenset({"BEGIN"})})
    asyncio.get_running_loop().call_later(0.2, waiting.clear)
    assert await listener.rest()
    assert not waiting


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in /proc")
async def test_loops_that_poll_all_the_time_are_at_rest_though_they_never_stand_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiet, "LONG_SILENCE", 1_000.0)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        polling = Talk(*(index * 0.02 for index in range(500)))
        silent = SimpleNamespace(in_flight=tuple, greeting=False, record=polling.record)
        pids = {WORKER: [process.pid], WEB: []}
        listener = Quiet(
            silent,
            SimpleNamespace(attempts=[]),
            SimpleNamespace(awaited=False),
            SimpleNamespace(pids=pids.__getitem__, guard_pids=lambda _: []),
        )  # type: ignore[arg-type]
        listener.habits = learned([said(POLL, at, "SELECT 0") for at in (0.0, 0.02, 0.04)], 0.04)
        assert await listener.rest()
        monkeypatch.setattr(quiet, "BUSY_POLLING", 1_000.0)
        assert not await listener.rest(patience=1.0)
    finally:
        process.kill()
        await process.wait()
