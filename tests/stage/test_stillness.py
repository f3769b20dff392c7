"""Whether an app is at work, asked of the kernel: real processes, and moments that the test gives."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdtrue.stage.stillness import LATE, Stillness

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in /proc")

STEP = 0.004
ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
PARENT = f"import subprocess, sys; print('up', flush=True); subprocess.run([sys.executable, '-c', {ECHO!r}])"


@asynccontextmanager
async def running(code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()  # all of them end at the end of their input
        await process.wait()


async def echo(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    await process.stdin.drain()
    while (await process.stdout.readline()) != b"hello\n":
        pass


async def settled(stillness: Stillness, now: float) -> float:
    """Look until two looks agree, and return the moment of the second; each look is a step later."""
    while True:
        now += STEP
        if stillness.since(now, step=STEP) < now:
            return now


async def test_what_waits_is_still_since_the_first_of_two_equal_looks() -> None:
    async with running(ECHO) as process:
        await echo(process)
        stillness = Stillness(lambda: [process.pid])
        now = await settled(stillness, 0.0)
        since = stillness.since(now + STEP, step=STEP)
        assert since < now
        assert stillness.since(now + 2 * STEP, step=STEP) == since


async def test_what_ran_between_two_looks_is_not_still() -> None:
    async with running(ECHO) as process:
        await echo(process)
        stillness = Stillness(lambda: [process.pid])
        now = await settled(stillness, 0.0)
        await echo(process)
        assert stillness.since(now + STEP, step=STEP) == now + STEP


async def test_a_child_counts_as_well() -> None:
    async with running(PARENT) as process:
        await echo(process)
        stillness = Stillness(lambda: [process.pid])
        now = await settled(stillness, 0.0)
        await echo(process)  # the parent waits all the while; the child answers
        assert stillness.since(now + STEP, step=STEP) == now + STEP


async def test_a_look_that_came_late_proves_nothing() -> None:
    async with running(ECHO) as process:
        await echo(process)
        stillness = Stillness(lambda: [process.pid])
        now = await settled(stillness, 0.0)
        late = now + (LATE + 1) * STEP
        assert stillness.since(late, step=STEP) == late


async def test_what_has_ended_is_not_still_but_forgotten() -> None:
    pids: list[int] = []
    stillness = Stillness(lambda: pids)
    async with running(ECHO) as process:
        await echo(process)
        pids.append(process.pid)
        now = await settled(stillness, 0.0)
    pids.clear()
    assert stillness.since(now + STEP, step=STEP) == now + STEP
    assert stillness.since(now + 2 * STEP, step=STEP) == now + STEP
