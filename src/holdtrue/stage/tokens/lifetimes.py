"""How long the cast's tokens last: a check may take longer, and then the app refuses everybody for that alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from holdtrue.stage.cast import Cast, Who
from holdtrue.stage.tokens.credentials import carried
from holdtrue.stage.tokens.jws import read_jws

WHY = "A token that has run out opens nothing, whatever the app's guards are worth: a refusal proves nothing."
DO = (
    "Let tokens live longer than the check takes, through the setting in `process.env` that the app reads their "
    "lifetime from; or narrow the check (--only, --place)."
)


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """How long what the cast's requests carry lasts, in Unix seconds."""

    began: float
    """When everybody had signed in."""
    ends: float
    """When the first of these tokens runs out; infinite where none of them tells."""

    @classmethod
    def of(cls, cast: Cast, now: float) -> Lifetime:
        """Of a cast that has just signed in."""
        tokens = [value for who in cast.members() for value in carried(cast, who).values()]
        return cls(began=now, ends=min((end for text in tokens if (end := end_of(text)) is not None), default=math.inf))

    def wanes(self, now: float) -> bool:
        """Whether less than half of it is left, which may be too little for what begins now."""
        return now - self.began >= self.ends - now

    def is_over(self, now: float) -> bool:
        """Whether a token has run out."""
        return now >= self.ends


def end_of(value: object) -> float | None:
    """The ``exp`` of a JWT in Unix seconds (RFC 7519 §4.1.4); None for what is no JWT, or has no end."""
    token = read_jws(value)
    end = token.claims.get("exp") if token is not None else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
        return None
    return float(end)


def ended(cast: Cast, who: Who, now: float, *, inside: str | None = None) -> str | None:
    """Say which of a principal's tokens had run out, and how long ago; None when none had.

    Only those that stand in the text ``inside``, where that is given: a request's headers.
    """
    for name, value, end in _ends(cast, who):
        if end <= now and (inside is None or value in inside):
            return f"the token of {who} (`{name}`) had run out {duration(now - end)} before, by its `exp`"
    return None


def _ends(cast: Cast, who: Who) -> Iterator[tuple[str, str, float]]:
    for name, value in cast.knowledge.principals.get(who, {}).items():
        if isinstance(value, str) and (end := end_of(value)) is not None:
            yield name, value, end


def duration(seconds: float) -> str:
    """A time for a sentence, rounded down: ``90 s``, ``25 min``, ``30 h``."""
    for size, unit, most in ((1, "s", 120), (60, "min", 120)):
        if seconds / size < most:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 3600)} h"
