"""Argon2id in threads of its own: a sign-in must not stop the event loop, nor take every processor of a server."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from holdtrue.runtime import Unavailable

T = TypeVar("T")
_WAITING_PER_THREAD = 50


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the password is right, and its hash by today's parameters where the stored one is weaker."""

    right: bool
    better_hash: str | None = None


class Passwords:
    """Hashes and verifies; the caller must hold no transaction meanwhile, for it takes long."""

    def __init__(self, *, memory_kib: int, time_cost: int, parallelism: int, threads: int) -> None:
        self._hasher = PasswordHasher(
            memory_cost=memory_kib, time_cost=time_cost, parallelism=parallelism, type=Type.ID
        )
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most = threads * _WAITING_PER_THREAD
        self._waiting = 0
        # What an unknown address is verified against, so that it takes as long as a known one.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash to keep.

        Raises:
            Unavailable: too many wait already.
        """
        return await self._off_loop(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Takes as long without a stored hash as with one, and is then wrong.

        Raises:
            Unavailable: too many wait already.
        """
        return await self._off_loop(lambda: self._verify(stored, _normal(password)))

    def _verify(self, stored: str | None, password: str) -> Verdict:
        try:
            self._hasher.verify(self._nobody if stored is None else stored, password)
        except (VerificationError, InvalidHashError):
            return Verdict(right=False)
        if stored is None:
            return Verdict(right=False)
        weaker = self._hasher.check_needs_rehash(stored)
        return Verdict(right=True, better_hash=self._hasher.hash(password) if weaker else None)

    async def _off_loop(self, step: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise Unavailable
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, step)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    """One password on all keyboards (NIST SP 800-63B, 5.1.1.2); nothing is cut off."""
    return unicodedata.normalize("NFKC", password)
