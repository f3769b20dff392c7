"""``holdtrue lock``: writes what a composed app is made of and what it promises, or says what no longer fits."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from holdtrue.check import composed
from holdtrue.contract.errors import UsageError
from holdtrue.contract.lock import LOCK_NAME, Difference, Lock, differences, parse_lock
from holdtrue.contract.project import PROJECT_NAME, Project, read_project
from holdtrue.contract.reader import fitted

AGENTS_NAME = "AGENTS.md"
BEGIN = "<!-- holdtrue:begin: written by `holdtrue lock`; your own text belongs outside of these two lines -->"
END = "<!-- holdtrue:end -->"
_MARKED = re.compile(r"^<!-- holdtrue:begin\b.*?^<!-- holdtrue:end -->$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    directory: Path
    check: bool = False
    assembly: str | None = None
    python: str | None = None


def run(request: Request) -> tuple[int, str]:
    """Write the lock and the index, or compare them; return the exit code and what to say.

    Raises:
        UsageError: nobody says where the app is composed, it cannot be imported, or it does not compose.
    """
    directory = request.directory
    project = read_project(directory)
    old, unreadable = _old(directory / LOCK_NAME)
    target = request.assembly or project.assembly or (old.assembly if old else None)
    if target is None:
        raise _nowhere(directory)
    agents = directory / AGENTS_NAME
    text = _text(agents)
    _refuse_half(text, agents)
    python = composed.interpreter(directory, project, request.python)
    derived = asyncio.run(composed.derive(directory, target, python))
    fitted(derived.lock, directory / LOCK_NAME, places=derived.places)
    changes = differences(old, derived.lock) if old else []
    wanted = _with_index(text, derived.index)
    if request.check:
        return _compared(directory, old, unreadable, changes, index_fits=text == wanted)
    (directory / LOCK_NAME).write_text(derived.lock.text, encoding="utf-8")
    agents.write_text(wanted, encoding="utf-8")
    return 0, _written(derived.lock, old, changes)


def _old(file: Path) -> tuple[Lock | None, str]:
    """The lock that is there, and else why there is none to read. A lock of another version is written anew."""
    try:
        return parse_lock(file.read_text(encoding="utf-8"), file), ""
    except FileNotFoundError:
        return None, "there is no lock"
    except (UsageError, UnicodeDecodeError) as error:
        return None, str(error)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _with_index(text: str, index: str) -> str:
    """A text with the index between its markers, or at its end."""
    block = f"{BEGIN}\n{index.strip()}\n{END}"
    if _MARKED.search(text):
        return _MARKED.sub(lambda _: block, text, count=1)
    return f"{text.rstrip()}\n\n{block}\n".lstrip()


def _refuse_half(text: str, file: Path) -> None:
    if "<!-- holdtrue:" in text and not _MARKED.search(text):
        raise UsageError(
            "one of the two markers of the index is missing",
            where=str(file),
            why="Nobody can tell which text is the app's own.",
            do="Remove what is left of the index and its marker; `holdtrue lock` adds both. They are:\n"
            f"    {BEGIN}\n    {END}",
        )


def _compared(
    directory: Path, old: Lock | None, unreadable: str, changes: list[Difference], *, index_fits: bool
) -> tuple[int, str]:
    if old is None:
        return 1, f"{directory / LOCK_NAME}: {unreadable}\n  Write it: holdtrue lock\n"
    if changes:
        told = f"{directory / LOCK_NAME}: stale; since it was written, this changed:\n{composed.listed(changes)}\n"
        return 1, f"{told}  When all of it is meant: holdtrue lock\n"
    if not index_fits:
        return 1, f"{directory / AGENTS_NAME}: its index is not the one of this app\n  Write it: holdtrue lock\n"
    return 0, f"{LOCK_NAME} fits: {_size(old)}.\n"


def _written(lock: Lock, old: Lock | None, changes: list[Difference]) -> str:
    if old is None:
        return f"{LOCK_NAME} and the index in {AGENTS_NAME} written: {_size(lock)}.\nNext: holdtrue check\n"
    if not changes:
        return f"{LOCK_NAME} fits as it is: {_size(lock)}.\n"
    return f"{LOCK_NAME} written: {_size(lock)}. What changed:\n{composed.listed(changes)}\n"


def _size(lock: Lock) -> str:
    document = lock.document
    return (
        f"{len(lock.modules)} modules, {len(document.routes)} routes, {len(document.permissions)} permissions, "
        f"{len(lock.bindings)} bindings, {len(lock.revisions)} revisions"
    )


def _nowhere(directory: Path) -> UsageError:
    return UsageError(
        "nobody says where the app is composed",
        where=f"{directory / PROJECT_NAME}, {next(iter(Project.model_fields))} of [tool.holdtrue]",
        why="The lock is derived from what compose(…) returned.",
        do='Add to pyproject.toml:\n    [tool.holdtrue]\n    assembly = "shop.main:assembly"\n'
        "  or name it once: holdtrue lock --assembly shop.main:assembly",
    )
