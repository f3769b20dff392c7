"""One changed row in canonical form: what fingerprints are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

OWN_KEY = "«key»"
"""Stands for the key that a new row got."""
INSERTED, UPDATED, DELETED = "inserted", "updated", "deleted"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One changed row in canonical form."""

    table: str
    what: str
    key: str = ""
    """Identity of a row that was there before."""
    cells: Mapping[str, str | None]
    """Place → value; of an old row only what changed."""
    old: Mapping[str, str | None]
    """What an old row had there before."""
    refers: tuple[tuple[str, str], ...] = ()
    """Place → the new row it refers to, in words and by its stem."""
    amounts: tuple[tuple[str, Decimal], ...] = ()
    parents: tuple[tuple[str, str], ...] = ()
    stem: str = ""
    """Hash of the content and of what it refers to, directly and further on."""
    colour: str = ""
    """Hash of all that, and of what refers to it."""
