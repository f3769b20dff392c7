"""Which stage proves what, and when."""

from __future__ import annotations

from collections.abc import Iterable

from holdtrue.contract.words import Place
from holdtrue.guarantees.base import Guarantee


class Waiting:
    """The guarantees that no stage has taken yet, heaviest first.

    Proofs of one place learn the same of the app (its purchases, its doors), once for a stage. So each stage goes on
    with a place that it has begun, or begins one that nobody has, before it takes what another stage has learned for.
    """

    def __init__(self, guarantees: Iterable[Guarantee]) -> None:
        self._left = list(guarantees)
        self._begun: dict[Place, int] = {}

    def __len__(self) -> int:
        return len(self._left)

    def take(self, lane: int) -> Guarantee | None:
        """The next one for a stage; None when none is left."""
        if not self._left:
            return None
        nearest = min(self._left, key=lambda each: self._distance(each.place, lane))
        self._left.remove(nearest)
        self._begun.setdefault(nearest.place, lane)
        return nearest

    def put_back(self, guarantee: Guarantee) -> None:
        """Have one that could not be tried to its end taken again, before all others of its kind."""
        self._left.insert(0, guarantee)

    def _distance(self, place: Place, lane: int) -> int:
        if place not in self._begun:
            return 1
        return 0 if self._begun[place] == lane else 2
