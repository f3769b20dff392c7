"""A JWT as an app issued it, taken apart and put together anew (RFC 7515 compact serialization, RFC 7519)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Jws:
    """One token. ``header`` and ``claims`` are JSON objects; ``protected`` is what the signature covers."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signature: bytes
    protected: str
    """The first two segments, as they were sent."""

    @property
    def alg(self) -> str:
        """The algorithm that the header names."""
        return str(self.header["alg"])

    @property
    def text(self) -> str:
        """The compact serialization."""
        return f"{self.protected}.{_encoded(self.signature)}"

    def altered(
        self, *, header: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None, signature: bytes
    ) -> Jws:
        """The same token with other contents, under a given signature."""
        return replace(self.unsigned(header=header, claims=claims), signature=signature)

    def unsigned(self, *, header: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None) -> Jws:
        """The same token with other contents and no signature. What is not given stays, byte for byte."""
        first, second = self.protected.split(".")
        if header is not None:
            first = encoded_json(header)
        if claims is not None:
            second = encoded_json(claims)
        return Jws(
            header=self.header if header is None else header,
            claims=self.claims if claims is None else claims,
            signature=b"",
            protected=f"{first}.{second}",
        )


def read_jws(text: object) -> Jws | None:
    """Take a token apart; None for what is no JWT.

    Three segments alone do not make one: the cookie of Flask's sessions has as many, but no header that names ``alg``.
    """
    if not isinstance(text, str) or text.count(".") != 2:
        return None
    segments = text.split(".")
    try:
        header, claims = (json.loads(decoded(segment)) for segment in segments[:2])
        signature = decoded(segments[2])
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict) or not isinstance(header.get("alg"), str):
        return None
    return Jws(header=header, claims=claims, signature=signature, protected=".".join(segments[:2]))


def decoded(segment: str) -> bytes:
    """Base64url without padding (RFC 7515 §2).

    Raises:
        ValueError: it is none.
    """
    return base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded_json(value: Mapping[str, Any]) -> str:
    """A segment of a token."""
    return _encoded(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
