"""Programs of the machine, run in the foreground and ended with the test. Run by ``./dev test --system``."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is marked."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.system)


def program(name: str) -> str:
    """Where a program is; a test that misses one fails and names it."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert found, f"{name} is not installed: ./dev test --system installs it where apt-get can"
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that a program which has given up root's rights can read; pytest's own are closed to others."""
    with TemporaryDirectory(prefix="holdtrue-system-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a program and returns when it has said that it is up."""
    running: list[asyncio.subprocess.Process] = []

    async def run(*words: str, until: bytes) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        running.append(process)
        assert process.stdout is not None
        said = b""
        while until not in said:
            line = await process.stdout.readline()
            assert line, f"{words[0]} ended: {said.decode()}"
            said += line
        return process

    yield run
    for process in running:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
