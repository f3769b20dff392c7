"""Asks a composed app what it is, in its own interpreter; holds what it says against its lock.

Needs the contract and the standard library alone: ``holdtrue lock`` works where only the build tower is installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.lock import LOCK_NAME, Difference, Lock, differences, parse_lock
from holdtrue.contract.problems import Pointer, Position
from holdtrue.contract.project import PROJECT_NAME, Project
from holdtrue.contract.reader import Loaded

PATIENCE = 120.0
"""Seconds that an app may take to be imported."""
_SHOWN = 20
_INHERITED = re.compile(r"PATH|PYTHONPATH|HOME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TMPDIR|VIRTUAL_ENV")


@dataclass(frozen=True, kw_only=True)
class Derived:
    """What an app says of itself."""

    lock: Lock
    index: str
    """For AGENTS.md."""
    places: dict[Pointer, Position]
    """Where the app's code says what its document has."""


class StaleLockError(UsageError):
    """The app is not what its lock says."""

    def __init__(self, file: Path, found: list[Difference]) -> None:
        super().__init__(
            f"the lock is stale:\n{listed(found)}",
            where=str(file),
            why="What would be rehearsed is not what the lock says, and an approval was given for.",
            do="Look at each of these; when all are meant, `holdtrue lock` writes them down. A module whose code was "
            "altered where it is installed is installed anew instead, and customised by its hooks.",
        )
        self.differences = tuple(found)


def listed(found: list[Difference]) -> str:
    """Differences, one on a line, and how many were left out."""
    lines = [f"    {each}" for each in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"    … and {len(found) - _SHOWN} more")
    return "\n".join(lines)


def interpreter(directory: Path, project: Project, named: str | None) -> str:
    """The interpreter to run an app with: the one asked for, else its pyproject's, else the one holdtrue runs in."""
    if named is not None:
        return named
    if project.python is None:
        return sys.executable
    beside = directory.resolve() / project.python  # not resolved further: a virtual environment's python is a link
    if not beside.is_file():
        raise UsageError(
            f"there is no interpreter {project.python}",
            where=f"{directory / PROJECT_NAME}, [tool.holdtrue] python",
            do="Make the environment, name another one, or leave it out for the one that runs holdtrue.",
        )
    return str(beside)


async def derive(directory: Path, target: str, python: str) -> Derived:
    """Import an app, and return its lock as it would be now.

    Raises:
        UsageError: it cannot be imported, or does not compose.
    """
    told = await ask(directory, python, "holdtrue.assembly.lock", target)
    return Derived(
        lock=parse_lock(json.dumps(told["lock"]), directory / LOCK_NAME),
        index=told["index"],
        places={
            tuple(pointer): Position(file=directory / file, line=line, column=1)
            for pointer, file, line in told["places"]
        },
    )


async def verify(loaded: Loaded, python: str) -> None:
    """Compare an app with the lock that was read, and learn where its code says what the document has.

    Raises:
        StaleLockError: it promises something else, or a module's code was altered.
        UsageError: it cannot be imported, or does not compose.
    """
    if loaded.lock is None:
        return
    derived = await derive(loaded.path.parent, loaded.lock.assembly, python)
    if found := [each for each in differences(loaded.lock, derived.lock) if not each.own_source]:
        raise StaleLockError(loaded.path, found)
    loaded.positions.elsewhere.update(derived.places)


async def ask(directory: Path, python: str, module: str, *words: str) -> dict[str, Any]:
    """Run a command of the build tower in the app's directory, and return the JSON that it prints.

    The environment is bare: describing an app must not depend on the machine that it is described on.

    Raises:
        UsageError: it ended with an error, which is told.
    """
    environment = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, "-m", module, *words),
            cwd=directory,
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise UsageError(f"the app's interpreter does not start: {error.strerror}", where=python) from None
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    except TimeoutError:
        raise HoldtrueError(
            f"importing the app took longer than {PATIENCE:.0f} seconds",
            where=str(directory),
            why="To import an app must have no side effects, such as a connection.",
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise _failed(directory, err.decode(errors="replace").strip())
    answer: dict[str, Any] = json.loads(out)
    return answer


def _failed(directory: Path, words: str) -> UsageError:
    if "Traceback (most recent call last)" not in words:
        return UsageError(words, where=str(directory))
    if "No module named holdtrue" in words or "No module named 'holdtrue" in words:
        return UsageError(
            "the app's interpreter has no holdtrue[app]", where=str(directory), do='pip install "holdtrue[app]"'
        )
    tail = "\n".join(f"    {line}" for line in words.splitlines()[-12:])
    return UsageError(
        f"the app cannot be imported:\n{tail}",
        where=str(directory),
        why="It is imported with a bare environment and opens nothing: settings are read when a process starts.",
        do="Mend what the last line says.",
    )
