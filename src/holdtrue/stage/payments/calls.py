"""The record of what the app asked of Stripe."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SECRET_NAMES = re.compile(r"(client_secret|secret|number|cvc|token)\Z")
_SECRET_VALUES = re.compile(r"\b(?:[rs]k_(?:test|live)|whsec|(?:pi|seti)_\w+_secret|tok)_\w+")


@dataclass(kw_only=True, eq=False)
class Call:
    """One request. `status` is None until it is answered, `delivered` False while nobody received the answer.

    `parameters` are as decoded from the form, all values text. `repr` hides secrets.
    """

    method: str
    path: str
    parameters: Mapping[str, Any]
    idempotency_key: str | None
    account: str | None
    version: str
    at: int
    began: float = field(default_factory=time.monotonic)
    """When it arrived, on the clock of the event loop; ``at`` is the provider's own time."""
    status: int | None = None
    response: Mapping[str, Any] | None = None
    request_id: str | None = None
    replayed: bool = False
    delivered: bool = False
    unmodelled: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        parameters = json.dumps(redacted(self.parameters), sort_keys=True)
        answer = "unanswered" if self.status is None else str(self.status)
        more = f" {json.dumps(redacted(self.response))}" if self.response is not None else ""
        where = f" account={self.account}" if self.account else ""
        return f"<Call {self.method} {self.path} {parameters}{where} at={self.at} → {answer}{more}>"


def redacted(value: Any) -> Any:
    """JSON with every secret replaced."""
    if isinstance(value, Mapping):
        return {
            name: "[redacted]" if isinstance(child, str) and _SECRET_NAMES.search(str(name)) else redacted(child)
            for name, child in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redacted(child) for child in value]
    return _SECRET_VALUES.sub("[redacted]", value) if isinstance(value, str) else value
