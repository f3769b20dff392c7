"""What is wrong with a document, and where: printed as a compiler prints its errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdtrue.contract.errors import UsageError

Pointer = tuple[str | int, ...]
"""The way to a value: keys of tables and indexes of arrays."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class Position:
    """A place in a file. Line and column count from 1."""

    file: Path
    line: int
    column: int
    key: str = ""
    """The key as TOML writes it, such as ``routes."POST /shops".permission``."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a document: what was seen, and what to do."""

    position: Position
    message: str
    hint: str = ""

    def __str__(self) -> str:
        subject = f"{self.position.key}: " if self.position.key else ""
        hint = "".join(f"\n    {line}" for line in self.hint.splitlines())
        return f"{self.position}: {subject}{self.message}{hint}"


class DocumentErrors(UsageError):  # noqa: N818 - it is several errors, and says so
    """Everything that is wrong with a document, at once."""

    def __init__(self, problems: Sequence[Problem], *, note: str = "") -> None:
        self.problems = tuple(problems)
        self.note = note
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} in the contract document")

    def __str__(self) -> str:
        footer = f"{self.seen}; nothing was started."
        return "\n".join([*map(str, self.problems), f"{footer} {self.note}".rstrip()])


def key_text(pointer: Pointer) -> str:
    """Write a pointer as TOML writes a key; an index is put in brackets."""
    parts: list[str] = []
    for step in pointer:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            quoted = step if _BARE_KEY.fullmatch(step) else f'"{step}"'
            parts.append(f".{quoted}" if parts else quoted)
    return "".join(parts)
