"""The project's pages, cut into what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.page}:{self.line}"


class Pages:
    """README and its like, and everything below docs."""

    root = ROOT

    def __init__(self) -> None:
        self.paths = [
            *sorted(ROOT.glob("*.md")),
            *sorted((ROOT / "docs").rglob("*.md")),
            ROOT / "requirements/README.md",
        ]

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Every page and its text."""
        for path in self.paths:
            yield path, path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[Block]:
        """Every block of a language."""
        return [
            block for path, text in self.texts() for block in self._blocks(path, text) if block.language == language
        ]

    def of(self, page: str, language: str) -> list[Block]:
        """The blocks of one page."""
        return [block for block in self.blocks(language) if block.page == page]

    def _blocks(self, path: Path, text: str) -> Iterator[Block]:
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(path.relative_to(ROOT).as_posix(), line, found[1], found[2])


@pytest.fixture(scope="session")
def pages() -> Pages:
    """The project's pages."""
    return Pages()
