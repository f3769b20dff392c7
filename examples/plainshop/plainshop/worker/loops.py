import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from plainshop.models.base import now
from plainshop.settings import Settings

log = logging.getLogger(__name__)
LONGEST_WAIT = 6 * 3600


class Loop(threading.Thread):
    """Calls `step` until it finds nothing to do, then pauses. Ends after the current item when `stop` is set."""

    def __init__(self, name: str, step: Callable[[], bool], pause: float, stop: threading.Event) -> None:
        super().__init__(name=name)
        self.failed = False
        self._step = step
        self._pause = pause
        self._stop_asked = stop

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                if not self._one_step():
                    self._stop_asked.wait(self._pause * random.uniform(0.8, 1.2))  # noqa: S311
        except Exception:  # the thread's edge: nothing may die silently
            log.exception("the %s loop failed; the worker ends", self.name)
            self.failed = True
            self._stop_asked.set()

    def _one_step(self) -> bool:
        try:
            return self._step()
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            log.warning("%s: the database does not answer: %s", self.name, type(error).__name__)
            return False


def next_attempt(settings: Settings, attempts: int) -> datetime:
    """Exponential, with full jitter in its upper half so that failures do not come back together."""
    wait = min(settings.retry_base_seconds * 2 ** min(attempts - 1, 30), LONGEST_WAIT)
    return now() + timedelta(seconds=wait * random.uniform(0.5, 1.0))  # noqa: S311
