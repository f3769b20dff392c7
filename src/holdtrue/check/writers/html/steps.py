"""The steps of a case, and the lanes between which they happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CALLER, PROVIDER, DATABASE, MAIL = "caller", "provider", "database", "mail"

Mark = Literal[
    "arrow", "reply", "read", "write", "commit", "kill", "cut", "held", "waits", "dot", "change", "band", "harm"
]
Rank = Literal[0, 1, 2, 3]
"""How much a step matters when there are too many: a read, a write, a request, a mark of what was done to the app."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One row of the picture."""

    mark: Mark
    words: str
    at: float | None = None
    """Seconds since the case began."""
    source: str = ""
    target: str = ""
    """Lanes; a step without a target happens on its source's, one without both in all of them."""
    lanes: tuple[str, ...] = ()
    """More lanes that it happens on."""
    told: str = ""
    """More than ``words``, for the list."""
    bad: bool = False
    rank: Rank = 2
    spans: tuple[tuple[str, str], ...] = ()
    """(lane, key) of the requests and transactions that it is part of."""

    @property
    def touched(self) -> tuple[str, ...]:
        """Every lane on which it happens."""
        return tuple(lane for lane in (self.source, self.target, *self.lanes) if lane)
