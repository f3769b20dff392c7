"""The project's tracked files, as the tests of its shape read them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOFT_LINES = 300


class Tree:
    """The files that are committed or would be; what git ignores is left out."""

    root = ROOT
    package = ROOT / "src" / "holdtrue"
    tests = ROOT / "tests"

    def __init__(self) -> None:
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
        paths = sorted({self.root / name for name in names if name})
        self.files = [path for path in paths if path.is_file() and not path.is_symlink()]
        self._parsed: dict[Path, ast.Module] = {}

    def python(self, *folders: Path) -> list[Path]:
        """The Python files below the folders."""
        files = (path for path in self.files if path.suffix == ".py")
        return [path for path in files if any(path.is_relative_to(folder) for folder in folders)]

    def nodes(self, path: Path) -> Iterator[ast.AST]:
        """Every node of a file's syntax tree."""
        if path not in self._parsed:
            self._parsed[path] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        return ast.walk(self._parsed[path])

    def text(self, path: Path) -> str | None:
        """A file's text; None when it is not text."""
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return None

    def shown(self, path: Path) -> str:
        """The path as a person writes it."""
        return path.relative_to(self.root).as_posix()

    def lines(self, path: Path) -> int:
        """How long a file is."""
        return len(path.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="session")
def tree() -> Tree:
    """The project's files."""
    return Tree()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report what is allowed and not welcome: files above the soft limit."""
    tree = Tree()
    for path in tree.python(tree.package):
        if (lines := tree.lines(path)) > SOFT_LINES:
            terminalreporter.write_line(f"longer than {SOFT_LINES} lines: {tree.shown(path)} ({lines})", yellow=True)
