"""What must be read again and must not lie open: encrypted and authenticated (JWE, ``dir`` with AES-256-GCM; RFC 7516).

Each purpose has a key of its own, derived from the secret key, so that one sealed text cannot stand in for another.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_ALGORITHMS = ["dir", "A256GCM"]


class SealBrokenError(Exception):
    """Sealed for another purpose, with a key that is not known here, or altered."""


class Sealer:
    """The first secret seals; the others still open."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def seal(self, purpose: str, text: str) -> str:
        """The text, unreadable."""
        header = {"alg": "dir", "enc": "A256GCM"}
        return jwe.encrypt_compact(header, text, self._key(self._secrets[0], purpose), algorithms=_ALGORITHMS)

    def unseal(self, purpose: str, sealed: str) -> str:
        """The text again.

        Raises:
            SealBrokenError: no secret opens it for this purpose.
        """
        for secret in self._secrets:
            try:
                found = jwe.decrypt_compact(sealed, self._key(secret, purpose), algorithms=_ALGORITHMS)
            except (JoseError, ValueError):
                continue
            return (found.plaintext or b"").decode()
        raise SealBrokenError(purpose.partition("/")[0])

    def pseudonym(self, purpose: str, text: str) -> bytes:
        """Always the same for a text, and no way back without the secret: an address could be guessed from a hash."""
        return hmac.digest(_derived(self._secrets[0], f"pseudonym/{purpose}"), text.encode(), "sha256")

    @staticmethod
    def _key(secret: bytes, purpose: str) -> OctKey:
        return OctKey.import_key(_derived(secret, f"seal/{purpose}"))


def _derived(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"holdtrue/auth/{purpose}".encode(), "sha256")
