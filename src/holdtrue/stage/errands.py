"""What a parked worker may have been given to do, so that it need not be let go on where that is nothing."""

from __future__ import annotations

from collections.abc import Iterable

from holdtrue.stage.database.reach import Reach
from holdtrue.stage.wire import Statement


class Errands:
    """Knows whether a poll may find something: a write that reached a table which the poll reaches, too."""

    def __init__(self, reach: Reach, polls: Iterable[str]) -> None:
        """``polls``: the shapes of the statements with which the worker looks for work."""
        self.given = True
        """Whether the worker may have been given something to do since the stage was reset."""
        self._reach = reach
        reached = [reach.of(shape) for shape in polls]
        self._polled: frozenset[str] | None = None
        """Where polls look; None where that cannot be told of one of them."""
        if reached and all(reached):
            self._polled = frozenset().union(*(each for each in reached if each))
        self._known: dict[str, bool] = {}

    def note(self, said: Iterable[Statement]) -> None:
        """Take notice of what somebody said to the database."""
        self.given = self.given or any(map(self.are_in, said))

    def are_in(self, said: Statement) -> bool:
        """Whether a statement may give the worker something to do: by a row, or by telling it."""
        if self._polled is None:
            return True
        if said.shape not in self._known:
            reached = self._reach.of(said.shape)
            self._known[said.shape] = reached is None or (said.writes and not self._polled.isdisjoint(reached))
        return self._known[said.shape]
