"""How many requests may do something slow at once. The others wait without a thread, so the rest stays fast."""

from collections.abc import AsyncIterator

from fastapi import Depends


async def _hashing() -> AsyncIterator[None]:
    yield


async def _provider() -> AsyncIterator[None]:
    yield


async def _inbox() -> AsyncIterator[None]:
    yield


# Argon2 takes 64 MiB and a core for a while.
hashing_slot = Depends(_hashing, max_concurrency=4)
# Stripe may take many seconds.
provider_slot = Depends(_provider, max_concurrency=8)
# An event about a subscription has Stripe asked; a burst of them must leave threads for others.
inbox_slot = Depends(_inbox, max_concurrency=16)
