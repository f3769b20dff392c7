"""Errors that teach: what was seen, where, why it matters, what to do (DESIGN, law 5)."""

from __future__ import annotations


class HoldtrueError(Exception):
    """An error a person or an agent can act on.

    ``exit_code`` follows DESIGN §7: 2 is wrong usage or configuration, 3 is *could not run*.
    """

    exit_code = 3

    def __init__(self, seen: str, *, where: str = "", why: str = "", do: str = "") -> None:
        self.seen = seen
        self.where = where
        self.why = why
        self.do = do
        super().__init__(seen)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.seen}" if self.where else self.seen]
        parts += [part for part in (self.why, self.do) if part]
        return "\n  ".join(parts)


class UsageError(HoldtrueError):
    """The call or the document is wrong; nothing was started."""

    exit_code = 2
