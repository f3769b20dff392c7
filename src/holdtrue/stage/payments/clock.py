"""The double's own clock: whatever source it is given, plus what it was advanced by."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Unix time in whole seconds, as Stripe tells it.

    `source` answers the present in seconds (`time.time`, or a constant for a run that must not see time pass).
    """

    def __init__(self, source: Callable[[], float]) -> None:
        self._source = source
        self._stopped: float | None = None
        self.offset = 0.0

    def now(self) -> int:
        """The present, in seconds since 1970."""
        return int((self._source() if self._stopped is None else self._stopped) + self.offset)

    @contextmanager
    def still(self) -> Iterator[None]:
        """No time passes while the block runs, unless it is advanced: everything has the same `created`."""
        outer = self._stopped
        self._stopped = self._source() if outer is None else outer
        try:
            yield
        finally:
            self._stopped = outer

    def advance(self, seconds: float) -> None:
        """Move forward.

        Raises:
            ValueError: `seconds` is negative; Stripe's time never runs backwards.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance the clock by {seconds} s: restore a snapshot to go back in time")
        self.offset += seconds
