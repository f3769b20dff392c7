"""What an idle app says on the wire: learned once by watching, so that all else is known for work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from holdtrue.stage.crew import WEB, WORKER
from holdtrue.stage.wire import InFlight, Statement

Key = tuple[str, str]
"""The kind of process, and the statement's shape."""
_LOOKS = frozenset(("select", "insert", "update", "delete", "merge", "call", "other"))
_PLUMBING = ("select set_config(", "select pg_catalog.set_config(")


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What an idle app says, and what of it looks for work."""

    said: Mapping[Key, frozenset[str | None]] = field(default_factory=dict)
    """Each statement, with the command tags of its answers."""
    polls: frozenset[Key] = frozenset()
    """What it repeats, looking for work."""
    interval: float = 0.0
    """Seconds; the longest between two polls of one kind."""

    def are_heard_in(self, statement: Statement | InFlight) -> bool:
        """Whether an idle app says this, too.

        A poll that finds a row where an idle one finds none is work, and one that fails found nothing out.
        """
        key = key_of(statement)
        if key not in self.said:
            return False
        if isinstance(statement, InFlight) or statement.tag in self.said[key]:
            return True
        return statement.tag is not None and not self.tells(key)

    def tells(self, poll: Key) -> bool:
        """Whether the answer to a poll tells that it found nothing: no rows, as always when the app is idle."""
        return all(tag is not None and tag.endswith(" 0") for tag in self.said[poll])


def learned(statements: Iterable[Statement], watched: float) -> Habits:
    """The habits of an app that was idle for so many seconds and said just this."""
    said: dict[Key, list[Statement]] = defaultdict(list)
    for statement in statements:
        said[key_of(statement)].append(statement)
    gaps = {
        key: [later.at - earlier.at for earlier, later in pairwise(each)] for key, each in said.items() if len(each) > 1
    }
    return Habits(
        said={key: frozenset(statement.tag for statement in each) for key, each in said.items()},
        polls=frozenset(key for key in gaps if _looks(said[key][0])) or frozenset(gaps),
        # Where everything was said just once, it may come again only after as long as we watched.
        interval=max((max(each) for each in gaps.values()), default=watched if said else 0.0),
    )


def key_of(statement: Statement | InFlight) -> Key:
    """Web processes are alike: what one says when idle, the others say, too."""
    return (WORKER if statement.process == WORKER else WEB, statement.shape)


def _looks(statement: Statement) -> bool:
    """Whether it may look for work: no part of a transaction's frame, no setting."""
    return statement.kind in _LOOKS and bool(statement.shape) and not statement.shape.startswith(_PLUMBING)
