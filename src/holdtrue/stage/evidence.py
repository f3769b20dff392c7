"""Evidence: what happened in a case, kept in order, with every secret taken out before it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SECRET_NAME = re.compile(r"token|secret|password|passwd|api_?key|authorization|cookie|signature", re.IGNORECASE)
_SHORTEST_SECRET = 8  # shorter values would blank ordinary words out of the evidence


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
        """Return the text without any known secret, the longest first so that no tail of one remains."""
        for value in sorted(self._names, key=len, reverse=True):
            if value in text:
                text = text.replace(value, f"[{self._names[value]}]")
        return text

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
        if _SECRET_NAME.fullmatch(key) and isinstance(item, str):
            known = self.text(item)
            return known if known != item else f"[{key}]"
        return self.value(item)


@dataclass
class Evidence:
    """The entries of one case, in the order in which they happened."""

    entries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, **facts: Any) -> None:
        """Keep one fact: a request, statements, a mail, a row difference, a kill."""
        self.entries.append({"kind": kind, **facts})

    def export(self, redactor: Redactor) -> list[Any]:
        """Return the entries, redacted."""
        return [redactor.value(entry) for entry in self.entries]
