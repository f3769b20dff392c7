"""What auth is told by the environment, as ``AUTH_…``. Times are in the unit of the name."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from holdtrue.runtime import ModuleSettings, SecretKey, prefix

OWASP_MEMORY_KIB, OWASP_TIME_COST, OWASP_PARALLELISM = 19 * 1024, 2, 1
"""The least that the OWASP Password Storage Cheat Sheet asks of argon2id."""


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    local = parts.hostname in ("localhost", "127.0.0.1")
    if not parts.hostname or parts.query or parts.fragment or parts.username or parts.scheme not in ("https", "http"):
        raise ValueError("must be an address such as https://shop.example")
    if parts.scheme == "http" and not local:
        raise ValueError("must be https: links to it carry credentials")
    return text.rstrip("/")


class AuthSettings(ModuleSettings):
    """The defaults are meant for production."""

    model_config = prefix("AUTH_")

    secret_key: SecretKey
    """Encrypts what is kept: private signing keys, answers to refresh. Others are derived from it for each purpose."""
    previous_secret_keys: tuple[SecretKey, ...] = ()
    """Still open what they sealed; keep one for ``rotation_days`` after its successor took over. A JSON list."""
    public_url: Annotated[str, AfterValidator(_public_url)]
    """Where people reach the app: every mailed link begins with it, whatever host a request names. Also the issuer."""
    audience: str = ""
    """The ``aud`` of access tokens; ``public_url`` when empty."""

    access_seconds: int = Field(default=300, ge=1, le=590)
    leeway_seconds: int = Field(default=5, ge=0, le=10)
    """How far the clocks of two servers may differ."""
    grace_seconds: float = Field(default=10.0, ge=0, le=30)
    """How long a lost answer to a refresh can be asked for again."""
    idle_days: float = Field(default=14.0, gt=0)
    """A session ends when it was not refreshed for so long."""
    session_days: float = Field(default=30.0, gt=0)
    """A session ends after so long, however often it was refreshed."""
    live_sessions: bool = False
    """Ask on every request whether the session was ended; otherwise only where a route takes ``LiveUnit``."""

    sign_up_minutes: int = Field(default=60, ge=1, le=24 * 60)
    reset_minutes: int = Field(default=20, ge=1, le=60)

    argon2_memory_kib: int = Field(default=OWASP_MEMORY_KIB, ge=OWASP_MEMORY_KIB)
    argon2_time_cost: int = Field(default=OWASP_TIME_COST, ge=OWASP_TIME_COST)
    argon2_parallelism: int = Field(default=OWASP_PARALLELISM, ge=OWASP_PARALLELISM)
    hashing_threads: int = Field(default=2, ge=1, le=64)
    """How many passwords one process hashes at once; each takes ``argon2_memory_kib``."""

    sign_ins_per_network: int = Field(default=60, ge=1)
    """Attempts a minute from one network, at whatever addresses."""
    sign_ins_per_person_and_network: int = Field(default=10, ge=1)
    """Attempts in five minutes at one address from one network."""
    sign_ins_per_person: int = Field(default=50, ge=1)
    """Attempts in five minutes at one address from all networks that it was never signed in from."""
    mails_per_person: int = Field(default=5, ge=1)
    """Mails an hour to one address."""
    mails_per_network: int = Field(default=30, ge=1)
    """Mails an hour asked for from one network."""

    jwks_seconds: int = Field(default=300, ge=1)
    """How long others may keep the published keys; a new key is published as long before it signs."""
    rotation_days: float = Field(default=30.0, gt=0)
