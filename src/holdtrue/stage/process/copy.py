"""An isolated copy of the app's directory: what a rehearsal kills, writes and breaks is never the original."""

import asyncio
import os
import shutil
import stat
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from holdtrue.stage.process.errors import CopyError

LEFT_OUT = (
    *(".env*", ".git", ".hg", ".svn", ".holdtrue", "node_modules", ".venv*", "venv", "virtualenv", "__pycache__"),
    *(".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
)
"""File and directory names that are never copied. ``.env*`` holds what a rehearsal must not know."""

LIMIT_BYTES = 512 * 1024 * 1024
_ENTRIES_PER_TURN = 64


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something of the app that is not in the copy: its path below the app's directory, and why."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AppCopy:
    """The copy: where it is, how much it holds (``size`` in bytes), and what was left out."""

    path: Path
    files: int
    size: int
    left_out: tuple[LeftOut, ...]


async def copy_app(source: Path, destination: Path, *, limit: int = LIMIT_BYTES) -> AppCopy:
    """Copies an app into ``destination``, which must not exist yet.

    A symbolic link that stays inside the tree is kept, as a relative link. One that leads out is left out and reported:
    kept, it would let the rehearsal write into the original; materialised, it would bring in whatever is there, secrets
    included, unbounded. The same holds for a link to something that is itself left out, and for sockets and devices.

    Raises ``CopyError`` when the source is no directory, the destination lies inside it, or more than ``limit`` bytes
    would be copied; the largest places are named then.
    """
    source = _checked(source, destination)
    survey = _Survey(source)
    await survey.walk()
    if survey.size > limit:
        raise survey.too_large(limit)
    for count, (relative, kind) in enumerate([(Path(), "directory"), *survey.entries]):
        if count % _ENTRIES_PER_TURN == 0:
            await asyncio.sleep(0)
        _copy_entry(source, destination, relative, kind)
    return AppCopy(path=destination, files=survey.files, size=survey.size, left_out=tuple(survey.left_out))


def _checked(source: Path, destination: Path) -> Path:
    source = source.resolve()
    if not source.is_dir():
        raise CopyError(f"{source} is not a directory", where=str(source), do="Give the directory of the app.")
    if destination.resolve().is_relative_to(source):
        raise CopyError(
            f"the copy would lie inside the app: {destination}",
            where=str(source),
            why="It would contain itself, and a rehearsal would write into the original.",
            do="Choose a scratch directory elsewhere.",
        )
    return source


def _copy_entry(source: Path, destination: Path, relative: Path, kind: str) -> None:
    origin, target = source / relative, destination / relative
    if kind == "directory":
        target.mkdir(parents=True)
    elif kind == "link":
        inside = origin.resolve().relative_to(source)
        target.symlink_to(os.path.relpath(destination / inside, target.parent))
    else:
        shutil.copy2(origin, target)
        target.chmod(target.stat().st_mode | stat.S_IWUSR)


class _Survey:
    """What there is to copy, parents before children."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.entries: list[tuple[Path, str]] = []
        self.left_out: list[LeftOut] = []
        self.files = 0
        self.size = 0
        self._by_place: Counter[str] = Counter()

    async def walk(self) -> None:
        queue = [self.source]
        while queue:
            await asyncio.sleep(0)
            directory = queue.pop()
            for path in sorted(directory.iterdir()):
                reason = self._reason_against(path)
                relative = path.relative_to(self.source)
                if reason:
                    self.left_out.append(LeftOut(path=str(relative), reason=reason))
                elif path.is_symlink():
                    self.entries.append((relative, "link"))
                elif path.is_dir():
                    self.entries.append((relative, "directory"))
                    queue.append(path)
                else:
                    self._count(relative, path.stat().st_size)

    def too_large(self, limit: int) -> CopyError:
        largest = ", ".join(f"{place} ({_megabytes(size)})" for place, size in self._by_place.most_common(5))
        return CopyError(
            f"the app's directory holds {_megabytes(self.size)}, more than {_megabytes(limit)}; most is in {largest}",
            where=str(self.source),
            why="It is copied for every check, so that a rehearsal never touches the original.",
            do="Move data that the app does not need to start out of the directory.",
        )

    def _count(self, relative: Path, size: int) -> None:
        self.entries.append((relative, "file"))
        self.files += 1
        self.size += size
        self._by_place[str(Path(*relative.parts[: min(2, len(relative.parts))]))] += size

    def _reason_against(self, path: Path) -> str | None:
        if name := _excluded(path.name):
            return f"named like {name}"
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return self._reason_against_link(path)
        if stat.S_ISDIR(mode):
            return "a virtual environment" if (path / "pyvenv.cfg").exists() else None
        return None if stat.S_ISREG(mode) else "not a regular file"

    def _reason_against_link(self, path: Path) -> str | None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # a loop is one or the other, by Python version
            return "a link to nothing"
        if not target.is_relative_to(self.source):
            return "a link that leaves the app's directory"
        if any(_excluded(part) for part in target.relative_to(self.source).parts):
            return "a link to something that is left out"
        return None


def _excluded(name: str) -> str | None:
    return next((pattern for pattern in LEFT_OUT if fnmatchcase(name, pattern)), None)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB" if size >= 10_000_000 else f"{size / 1_000_000:.1f} MB"
