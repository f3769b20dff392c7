"""Argon2id at OWASP's minimum (19 MiB, two passes, one lane): a sign-in must not take all of a small server.

The library's defaults (64 MiB, four lanes) let a few dozen sign-ins a second stop everything else.
"""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)
# What an unknown address is verified against, so that it takes as long as a known one.
_nobody = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Takes the same time whether or not there is an account. Never call it inside a transaction: it is slow."""
    try:
        _hasher.verify(stored or _nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None
