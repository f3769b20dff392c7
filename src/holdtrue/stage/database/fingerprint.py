"""What a scenario changed, in a form that two runs share when they did the same.

Rows that were there before keep their identity. Keys of new rows are renamed, not masked: each new row gets a colour
from its content, and then, round after round, from the colours of the rows it refers to and is referred to by (colour
refinement, the one-dimensional Weisfeiler-Leman method). So neither the order of insertion nor the numbers a sequence
gave out matter, but a reference to the wrong row does. Pure functions, no I/O.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from holdtrue.stage.database.catalog import Catalog
from holdtrue.stage.database.comparison import compare, compare_sums
from holdtrue.stage.database.drawing import Drawing, digest_of
from holdtrue.stage.database.entry import Entry
from holdtrue.stage.database.noise import Bookkeeping, Noise
from holdtrue.stage.database.rows import Difference


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What a scenario changed. Equal `digest`, same effect."""

    entries: tuple[Entry, ...] = ()
    uncompared: tuple[str, ...] = ()
    """Tables that changed and are too large to list: not compared, and the report must say so."""

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        difference: Difference,
        *,
        noise: Noise | None = None,
        bookkeeping: Bookkeeping | None = None,
        now: datetime | None = None,
    ) -> "Fingerprint":
        """The canonical form of a difference. `now` is the run's moment: noisy times are told by their distance."""
        drawn = Drawing(catalog, difference, noise or Noise(), bookkeeping or Bookkeeping(), now)
        return cls(entries=tuple(sorted(drawn.entries(), key=_order)), uncompared=difference.oversized)

    @cached_property
    def digest(self) -> str:
        """Hash of the whole."""
        return digest_of(sorted((entry.table, entry.what, entry.key, entry.colour) for entry in self.entries))

    def compare(self, other: "Fingerprint") -> tuple[str, ...]:
        """What the other run did differently, in readable lines; empty when the effect is the same."""
        return compare(self.entries, other.entries) if self.digest != other.digest else ()

    def compare_sums(self, other: "Fingerprint") -> tuple[str, ...]:
        """What differs when the events came in another order: of new rows, only sums per parent are compared."""
        return compare_sums(self.entries, other.entries)


def _order(entry: Entry) -> tuple[str, str, str, str]:
    return entry.table, entry.what, entry.key, entry.colour
