"""Access tokens: JWTs of the profile RFC 9068, and no other JWT (RFC 8725, 3.11 and 3.12).

The one way to read a token checks algorithm, type, issuer, audience and expiry; there is no argument that leaves one
out. RS256, because RFC 9068 (2.1) obliges both sides to it, and because it is the cheapest to verify.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from holdtrue.runtime import Unauthorized, uuid7

ALGORITHM = "RS256"
TYPE = "at+jwt"
KEY_BITS = 2048
_REGISTERED = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "tenant", "scope", "email")
_DECISIVE = ("auth_time", "acr", "amr", "cnf", "act", "may_act", "azp", "nonce", "roles", "groups", "entitlements")
RESERVED = frozenset((*_REGISTERED, *_DECISIVE, "typ", "permissions"))
"""Claims that decide about access here or elsewhere: no hook may set one."""
_MOST_BYTES = 8192
_ALLOWED_HEADERS = frozenset({"alg", "typ", "kid"})
_MOST_KNOWN = 4096
"""Tokens that need not be verified again, by their digest: some 4 MiB."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What an access token says."""

    user_id: UUID
    session_id: UUID
    client_id: str
    email: str
    tenant: UUID | None = None
    scope: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A token that was verified before. It and the key never change; the time does, and is asked anew."""

    key: RSAKey
    kid: UUID
    claims: Claims
    not_before: float
    expires: float


class AccessTokens:
    """Issues and reads the tokens of one issuer for one audience. Times in seconds."""

    def __init__(self, *, issuer: str, audience: str, lifetime: int, leeway: int) -> None:
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        self._leeway = leeway
        self._known: dict[bytes, _Known] = {}

    @property
    def verified_for(self) -> timedelta:
        """How long after its issue a token may still be accepted."""
        return timedelta(seconds=self.lifetime + self._leeway)

    def issue(self, key: RSAKey, claims: Claims, extra: Mapping[str, Any], now: datetime) -> str:
        """A signed token. What is registered wins over ``extra``."""
        issued = int(now.timestamp())
        registered: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "iat": issued,
            "exp": issued + self.lifetime,
            "jti": str(uuid7()),
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "client_id": claims.client_id,
            "email": claims.email,
        }
        if claims.tenant is not None:
            registered["tenant"] = str(claims.tenant)
        if claims.scope is not None:
            registered["scope"] = claims.scope
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
        allowed = {name: value for name, value in extra.items() if name not in RESERVED}
        return jwt.encode(header, allowed | registered, key, algorithms=[ALGORITHM])

    def key_id(self, token: str) -> UUID:
        """The key that the token names: a name to look up among our own, and nothing else.

        Raises:
            Unauthorized: not one of our tokens.
        """
        if (known := self._known.get(_digest(token))) is not None:
            return known.kid
        try:
            if len(token) > _MOST_BYTES:
                raise Unauthorized
            header = jws.extract_compact(token.encode()).headers()
            # No jku, jwk, x5u or crit: a token says nothing about how it is to be verified.
            if set(header) != _ALLOWED_HEADERS or header["alg"] != ALGORITHM or header["typ"] != TYPE:
                raise Unauthorized
            return UUID(header["kid"])
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthorized from None

    def read(self, token: str, key: RSAKey, now: datetime) -> Claims:
        """What the token says, once everything about it was verified.

        Raises:
            Unauthorized: anything about it is wrong.
        """
        digest = _digest(token)
        known = self._known.get(digest)
        if known is None or known.key is not key:
            known = self._verified(token, key, now)
            while len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        at = int(now.timestamp())
        if not known.not_before - self._leeway <= at < known.expires + self._leeway:
            raise Unauthorized
        return known.claims

    def _verified(self, token: str, key: RSAKey, now: datetime) -> _Known:
        try:
            kid = self.key_id(token)
            told = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
            self._registry(now).validate(told)
            if not _same(told["iss"], self._issuer) or not _same(told["aud"], self._audience):
                raise Unauthorized
            claims = Claims(
                user_id=UUID(told["sub"]),
                session_id=UUID(told["sid"]),
                client_id=str(told["client_id"]),
                email=str(told["email"]),
                tenant=UUID(told["tenant"]) if "tenant" in told else None,
                scope=str(told["scope"]) if "scope" in told else None,
            )
            not_before = max(told["iat"], told.get("nbf", 0))
            return _Known(key=key, kid=kid, claims=claims, not_before=not_before, expires=told["exp"])
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Unauthorized from None

    def _registry(self, now: datetime) -> jwt.JWTClaimsRegistry:
        needed = {name: {"essential": True} for name in ("exp", "iat", "sub", "client_id", "jti", "sid")}
        return jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=self._leeway,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            **needed,  # type: ignore[arg-type]  # a TypedDict that mypy cannot see in a comprehension
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _same(told: object, ours: str) -> bool:
    """Exactly ours; a list that also names others is not what we issue."""
    return isinstance(told, str) and hmac.compare_digest(told.encode(), ours.encode())


def new_key(kid: UUID) -> RSAKey:
    """A new signing key. Takes a while: not on the event loop."""
    return RSAKey.generate_key(KEY_BITS, {"kid": str(kid), "use": "sig", "alg": ALGORITHM}, private=True)


def public_part(key: RSAKey) -> dict[str, Any]:
    """What may be published, named one by one, so that nothing private comes along."""
    told = key.as_dict(private=False)
    return {name: told[name] for name in ("kty", "n", "e", "kid", "use", "alg")}


def private_text(key: RSAKey) -> str:
    """The whole key, to be sealed."""
    return json.dumps(key.as_dict(private=True))


def read_key(text_or_dict: str | Mapping[str, Any]) -> RSAKey:
    """A key again, whole or its public part."""
    told = json.loads(text_or_dict) if isinstance(text_or_dict, str) else dict(text_or_dict)
    return RSAKey.import_key(told)
