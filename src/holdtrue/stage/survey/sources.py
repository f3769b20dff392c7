"""The app's own files, read without running it: what rules look at before anything is started."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from holdtrue.stage.process.copy import LEFT_OUT

LARGEST = 1_000_000
"""Bytes; a file that is longer was generated."""


@dataclass(frozen=True, kw_only=True)
class PythonFile:
    """One file that could be parsed; `path` is relative to the app's directory, with slashes."""

    path: str
    tree: ast.Module


class Sources:
    """Reads a file when it is first asked for, and once. Nothing is imported."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._parsed: dict[str, PythonFile | None] = {}
        self._paths: list[str] | None = None
        self._modules: dict[str, str] | None = None
        self.unread: set[str] = set()
        """Files that were asked for and are no Python of this interpreter."""

    def paths(self) -> list[str]:
        """Every Python file that a rehearsal would copy, so none of an installed package."""
        if self._paths is None:
            self._paths = sorted(self._walked())
        return self._paths

    def python(self, path: str) -> PythonFile | None:
        """A file; None where there is none, or where it cannot be parsed (then it is in `unread`)."""
        if path not in self._parsed:
            self._parsed[path] = self._read(path)
        return self._parsed[path]

    def mentioning(self, word: str) -> Iterator[PythonFile]:
        """The files that have a word somewhere; the others are not parsed."""
        sought = word.encode()
        for path in self.paths():
            file = self.directory / path
            if file.stat().st_size <= LARGEST and sought in file.read_bytes() and (found := self.python(path)):
                yield found

    def module(self, name: str) -> PythonFile | None:
        """The file of a module by its dotted name, from the app's directory or one below it, such as ``src``."""
        if self._modules is None:
            # Of two with one tail the one that lies higher: it is what the app's own directory on sys.path would give.
            deepest_first = sorted(self.paths(), key=lambda path: -path.count("/"))
            self._modules = {tail: path for path in deepest_first for tail in _tails(path)}
        path = self._modules.get(name)
        return self.python(path) if path is not None else None

    def relative(self, file: Path) -> str | None:
        """A file's path as it is told here; None outside the app's directory."""
        here, there = self.directory.resolve(), file.resolve()
        return there.relative_to(here).as_posix() if there.is_relative_to(here) else None

    def _read(self, path: str) -> PythonFile | None:
        file = self.directory / path
        if not file.is_file():
            return None
        try:
            return PythonFile(path=path, tree=ast.parse(file.read_bytes(), filename=path))
        except (SyntaxError, ValueError):  # of a newer Python, or no Python at all
            self.unread.add(path)
            return None

    def _walked(self) -> Iterator[str]:
        for root, folders, files in os.walk(self.directory):
            folders[:] = [name for name in folders if not _left_out(name) and not _is_environment(Path(root, name))]
            for name in files:
                if name.endswith(".py"):
                    yield Path(root, name).relative_to(self.directory).as_posix()


def _tails(path: str) -> Iterator[str]:
    """The dotted names by which a file may be imported, depending on which directory is on the path."""
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    for start in range(len(parts)):
        yield ".".join(parts[start:])


def _left_out(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def _is_environment(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists()
