"""Asks the kernel whether the app is at work: what has not run for a while, and is not about to, waits for something.

Linux only (proc(5)): a thread that waits is in state S, and its counts of context switches stand still. So rest is seen
in milliseconds, and a process that a busy machine keeps waiting for a processor (state R) is not taken for an idle one.
"""
# ruff: noqa: PTH123, PTH208
# (asked every few milliseconds: a Path per file would cost more than the reading)

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable

LATE = 3
"""Looks that came so many times later than they should prove nothing: what the app waited for may have been us."""
_WAITING = frozenset(b"SIt")
"""Interruptible sleep, idle, and stopped by a tracer; R runs or is about to, D waits for a disk."""


class Stillness:
    """Knows since when no thread of some processes, and of all that they forked, has run; ``alone``: but for those."""

    def __init__(self, pids: Callable[[], Collection[int]], alone: Callable[[], Collection[int]] = tuple) -> None:
        self._pids = pids
        self._alone = alone
        self._family: tuple[int, ...] = ()
        self._marks: dict[tuple[int, str], bytes] = {}
        self._since = self._looked = float("-inf")
        self.tells = sys.platform == "linux"
        """Whether the system shows what threads do."""
        self.rests = False
        """Whether they were ever found to stand still as long as that was asked for."""

    def since(self, now: float, *, step: float) -> float:
        """Look, and return since when nothing ran; ``now`` where something did, or where the system does not tell.

        Ask every ``step`` seconds: only what is seen by looks in time counts.
        """
        marks = self._look() if self.tells else None
        if marks is None or marks != self._marks or now - self._looked > LATE * step:
            self._since = now
            self._family = tuple({*_family(self._pids()), *self._alone()})
            self._marks = marks or {}
        self._looked = now
        return self._since

    def _look(self) -> dict[tuple[int, str], bytes] | None:
        """How often each thread was scheduled; None while one of them runs, or when a process has ended."""
        found = {}
        try:
            for pid in self._family:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/status", "rb", buffering=0) as file:
                        status = file.read()
                    if status[status.index(b"\nState:\t") + 8] not in _WAITING:
                        return None
                    found[pid, thread] = status[status.rindex(b"\nvoluntary_ctxt_switches") :]
        except (OSError, ValueError):  # it ended while we looked, or this /proc does not tell
            return None
        return found


def _family(pids: Iterable[int]) -> tuple[int, ...]:
    """The processes and their descendants."""
    found, queue = [], list(pids)
    while queue:
        pid = queue.pop()
        found.append(pid)
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                    queue += map(int, file.read().split())
        except OSError:
            continue  # it has ended, or the kernel does not list children
    return tuple(found)
