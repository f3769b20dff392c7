"""What must never be in the history: it is kept longer, and read by more people, than any secret should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

LEFT_OUT = "[left out]"
_MASKED = str(SecretStr("x"))
"""What pydantic makes of a field that is declared a secret (SecretStr, SecretBytes)."""
_TELLING = (
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "api_key",
    "apikey",
    "private_key",
    "cvc",
)


class Secrets:
    """Fields typed ``SecretStr``, those whose names tell, and those that the app names."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = frozenset(name.lower() for name in names)

    def left_out_of(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """The details with a mark where a secret was, however deep."""
        return {name: LEFT_OUT if self._tells(name, value) else self._cleaned(value) for name, value in details.items()}

    def _tells(self, name: str, value: object) -> bool:
        # A number of tokens and the id of a secret are no secrets.
        if not isinstance(value, str | dict | list):
            return False
        lowered = name.lower()
        return lowered in self._names or (not lowered.endswith("_id") and any(each in lowered for each in _TELLING))

    def _cleaned(self, value: Any) -> Any:
        match value:
            case dict():
                return self.left_out_of(value)
            case list():
                return [self._cleaned(each) for each in value]
            case str() if value == _MASKED:
                return LEFT_OUT
        return value
