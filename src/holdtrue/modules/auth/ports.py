"""What a process of auth has, opened once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from joserfc.jwk import RSAKey

from holdtrue.modules.auth.adapters.access_tokens import AccessTokens
from holdtrue.modules.auth.adapters.passwords import Passwords
from holdtrue.modules.auth.adapters.sealing import Sealer
from holdtrue.modules.auth.settings import AuthSettings

KEY_MEMORY = timedelta(seconds=10)
"""How long a process goes on verifying with a key without asking the database: the delay of an emergency revocation."""


@dataclass
class KeyMemory:
    """Keys that were read before. A private one is asked for by the id that the database just named."""

    verifying: dict[UUID, tuple[RSAKey, datetime]] = field(default_factory=dict)
    private: dict[UUID, RSAKey] = field(default_factory=dict)

    def fresh(self, kid: UUID, now: datetime) -> RSAKey | None:
        """The key, unless it is time to ask again."""
        key, read_at = self.verifying.get(kid, (None, now))
        return key if now - read_at < KEY_MEMORY else None

    def learn(self, kid: UUID, key: RSAKey | None, now: datetime) -> None:
        """What the database said of it; None: it verifies nothing, or no longer."""
        self.verifying.pop(kid, None)
        if key is not None:
            self.verifying[kid] = (key, now)
        else:
            self.private.pop(kid, None)


@dataclass(frozen=True, kw_only=True)
class AuthPorts:
    """Reached by ``unit.port(AuthPorts)``."""

    settings: AuthSettings
    passwords: Passwords
    sealer: Sealer
    tokens: AccessTokens
    keys: KeyMemory = field(default_factory=KeyMemory)


@asynccontextmanager
async def open_ports(settings: AuthSettings) -> AsyncIterator[AuthPorts]:
    """Start the hashing threads."""
    passwords = await asyncio.to_thread(
        lambda: Passwords(
            memory_kib=settings.argon2_memory_kib,
            time_cost=settings.argon2_time_cost,
            parallelism=settings.argon2_parallelism,
            threads=settings.hashing_threads,
        )
    )
    secrets = [each.get_secret_value() for each in (settings.secret_key, *settings.previous_secret_keys)]
    try:
        yield AuthPorts(
            settings=settings,
            passwords=passwords,
            sealer=Sealer(secrets),
            tokens=AccessTokens(
                issuer=settings.public_url,
                audience=settings.audience or settings.public_url,
                lifetime=settings.access_seconds,
                leeway=settings.leeway_seconds,
            ),
        )
    finally:
        passwords.close()
