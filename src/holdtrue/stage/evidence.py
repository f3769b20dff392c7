"""Evidence: what happened in a case, kept in order, with every secret taken out before it is written."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WORDS = r"token|secret|password|passwd|api_?key|authorization|cookie"
_SECRET_NAME = re.compile(_WORDS, re.IGNORECASE)
_SHORTEST_SECRET = 8  # shorter values would blank ordinary words out of the evidence
_JSON_SECRET = re.compile(
    rf'("[^"\\]*(?:{_WORDS})[^"\\]*"\s*:\s*")(?!\[)((?:[^"\\]|\\.){{{_SHORTEST_SECRET},}})', re.IGNORECASE
)
"""A member of a JSON object, named like a secret, in a text that may be cut short."""
_LONGEST_LOG = 4 * 2**20
_LONGEST_TEXT = 20_000
"""Characters kept of one fact: a webhook's body is kept whole, a picture that an app answers is not."""
MOST_ENTRIES = 1_000
"""Entries kept of one case; of more, the first and the last."""


class Redactor:
    """Replaces known secret values by their names, in any text."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, name: str, value: object) -> None:
        """Remember a secret value under a name; values that are no secrets by name are ignored."""
        if isinstance(value, str) and len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name):
            self._names[value] = name

    def learn_all(self, values: Mapping[str, object]) -> None:
        """``learn`` for each item."""
        for name, value in values.items():
            self.learn(name, value)

    def text(self, text: str) -> str:
        """Return the text without any known secret, and without what a piece of JSON in it calls a secret."""
        # The longest first, so that no tail of one remains.
        for value in sorted(self._names, key=len, reverse=True):
            if value in text:
                text = text.replace(value, f"[{self._names[value]}]")
        return _JSON_SECRET.sub(r"\1[secret]", text)

    def value(self, value: Any) -> Any:
        """Return a JSON-like value without any known secret, and with secret-looking keys blanked."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode(errors="backslashreplace"))
            case Mapping():
                return {str(key): self._item(str(key), item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
            case None | bool() | int() | float():
                return value
            case _:
                return self.text(str(value))

    def _item(self, key: str, item: Any) -> Any:
        if _SECRET_NAME.search(key) and isinstance(item, str):
            known = self.text(item)
            return known if known != item else f"[{key}]"
        return self.value(item)


@dataclass
class Evidence:
    """The entries of one case. Each has ``at``: seconds since the case began."""

    clock: Callable[[], float] = time.monotonic
    """Seconds, as the event loop counts them: what the instruments saw carries that clock's times."""
    gather: Callable[[], None] = lambda: None
    """Adds what the instruments have seen and nobody has told yet."""
    entries: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def add(self, kind: str, *, moment: float | None = None, **facts: Any) -> None:
        """Keep one fact: a request, a statement, a mail, a row difference, a kill.

        ``moment`` is when it began, on the evidence's clock; now when absent.
        """
        at = (self.clock() if moment is None else moment) - self.began
        self.entries.append({"kind": kind, "at": round(at, 6), **facts})

    def export(self, redactor: Redactor) -> list[Any]:
        """Return the entries in the order in which they began, redacted and of bounded size."""
        self.gather()
        entries = sorted(self.entries, key=lambda entry: float(entry["at"]))
        if (more := len(entries) - MOST_ENTRIES) > 0:
            half = MOST_ENTRIES // 2
            left_out = {"kind": "left_out", "at": entries[half]["at"], "entries": more}
            entries = [*entries[:half], left_out, *entries[-half:]]
        return [_bounded(redactor.value(entry)) for entry in entries]


def _bounded(value: Any) -> Any:
    match value:
        case str() if len(value) > _LONGEST_TEXT:
            return f"{value[:_LONGEST_TEXT]}… ({len(value) - _LONGEST_TEXT} more characters)"
        case dict():
            return {key: _bounded(item) for key, item in value.items()}
        case list():
            if len(value) > MOST_ENTRIES:
                return [*(_bounded(item) for item in value[:MOST_ENTRIES]), f"… {len(value) - MOST_ENTRIES} more"]
            return [_bounded(item) for item in value]
    return value


def keep_logs(scratch: Path, kept: Path, redactor: Redactor, tell: Callable[[str], None]) -> None:
    """Copy the logs of a check to where they are kept, redacted, of each the last 4 MiB; tells when it cannot."""
    try:
        for log in sorted(scratch.glob("*")):
            kept.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(kept / log.name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
                file.write(redactor.text(_end_of(log)))
    except OSError as error:
        tell(f"the logs could not be kept in {kept}: {error.strerror}")


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        first = max(0, file.seek(0, os.SEEK_END) - _LONGEST_LOG)
        file.seek(first)
        data = file.read()
    if first:
        data = data.partition(b"\n")[2]  # not half a line: half a secret is not recognised
    return data.decode(errors="replace")
