"""Who acts, for whom, when: handed on as an argument, never looked up in the air."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

NO_TENANT = UUID(int=0)
"""Marks rows of the outbox that belong to no tenant; never a tenant's id."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who acts."""

    kind: Literal["user", "key", "system", "provider", "nobody"]
    id: str = ""
    user: str | None = None
    """The person behind an API key; None where the key is the tenant's own."""
    email: str | None = None
    """The address that was verified, in lower case."""
    tenant: UUID | None = None
    """The tenant that the credential names; a claim, until live membership confirms it."""
    permissions: frozenset[str] | None = None
    """What the credential allows at most, None for everything that the membership grants; what is held now, once a
    route with a permission let the principal in."""
    session: str | None = None


NOBODY = Principal(kind="nobody")
SYSTEM = Principal(kind="system", id="worker")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every step of a request or a piece of work knows."""

    principal: Principal = NOBODY
    tenant: UUID | None = None
    request_id: str
    clock: Clock = utc_now
    on_behalf_of: Principal | None = None
    """Who caused a piece of work; the principal is then the job."""
    host: str = ""
    address: str = ""
    """The peer's network address, for limits; a proxy in front must be told to the server (uvicorn --proxy-headers)."""


def uuid7() -> UUID:
    """A UUID that sorts by time, to a quarter of a microsecond (RFC 9562, 5.7 and 6.2 method 3).

    So new rows of an index stay together, and what one process wrote earlier is done earlier.
    """
    nanos = time.time_ns()
    millis, rest = divmod(nanos, 1_000_000)
    head = (millis & (1 << 48) - 1) << 16 | 0x7 << 12 | rest * 4096 // 1_000_000
    return UUID(int=head << 64 | 0x2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2)
