"""Waiting for something to happen, without polling."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class MailTimeoutError(TimeoutError):
    """What was waited for did not happen in time; the message says what happened instead."""


class Signal:
    """Wakes everyone who waits for a condition, so that each looks again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Have every waiter look at its condition again."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def until(self, look: Callable[[], T | None], patience: float, complain: Callable[[], str]) -> T:
        """Return the first answer of `look` that is not None.

        `patience` is in seconds. Raises `MailTimeoutError` with the text of `complain`.
        """
        try:
            async with asyncio.timeout(patience):
                while (seen := look()) is None:
                    await self._event.wait()
        except TimeoutError:
            raise MailTimeoutError(complain()) from None
        return seen
