"""The credentials the app issues.

Access tokens are JWTs (RFC 9068's type and claims, `scope` among them) of ten minutes at most. Refresh tokens are
random; their hash is stored. Tokens in mails are derived from the row they belong to, so that neither table nor outbox
holds one. Each purpose has a key of its own.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from plainshop.settings import Settings

ISSUER = "plainshop"
AUDIENCE = "plainshop-api"
TYPE = "at+jwt"
Purpose = Literal["invitation", "reset"]


@dataclass(frozen=True, kw_only=True)
class Claims:
    shop_id: UUID
    member_id: UUID
    session_id: UUID
    scope: frozenset[str]


def _derived(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"plainshop/{purpose}".encode(), "sha256")


class Tokens:
    def __init__(self, settings: Settings) -> None:
        self.lifetime = settings.access_token_seconds
        all_keys = (settings.secret_key, *settings.secret_keys_previous)
        self._secrets = [key.get_secret_value() for key in all_keys]
        keys = [_derived(secret, "access") for secret in self._secrets]
        self._kid = hashlib.sha256(keys[0]).hexdigest()[:16]
        self._keys = KeySet([OctKey.import_key(k, {"kid": hashlib.sha256(k).hexdigest()[:16]}) for k in keys])
        self._registry = jwt.JWTClaimsRegistry(exp={"essential": True}, iat={"essential": True})

    def access(self, claims: Claims) -> str:
        issued = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + self.lifetime,
            "sub": str(claims.member_id),
            "shop": str(claims.shop_id),
            "sid": str(claims.session_id),
            "scope": " ".join(sorted(claims.scope)),
        }
        return jwt.encode({"alg": "HS256", "typ": TYPE, "kid": self._kid}, body, self._keys, algorithms=["HS256"])

    def read_access(self, token: str) -> Claims | None:
        try:
            parsed = jwt.decode(token, self._keys, algorithms=["HS256"])
            self._registry.validate(parsed.claims)
            told = parsed.claims
            if (parsed.header.get("typ"), told["iss"], told["aud"]) != (TYPE, ISSUER, AUDIENCE):
                return None
            return Claims(
                shop_id=UUID(told["shop"]),
                member_id=UUID(told["sub"]),
                session_id=UUID(told["sid"]),
                scope=frozenset(told["scope"].split(" ")),
            )
        except (JoseError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def mailed(self, purpose: Purpose, shop_id: UUID, row_id: UUID) -> str:
        return self._mailed(self._secrets[0], purpose, shop_id, row_id)

    def read_mailed(self, purpose: Purpose, token: str) -> tuple[UUID, UUID] | None:
        """The shop and the row; whether the row is still good is for the database to say."""
        try:
            shop, row, _ = token.split(".")
            shop_id, row_id = UUID(shop), UUID(row)
        except ValueError:
            return None
        for secret in self._secrets:
            if hmac.compare_digest(self._mailed(secret, purpose, shop_id, row_id).encode(), token.encode()):
                return shop_id, row_id
        return None

    @staticmethod
    def _mailed(secret: str, purpose: Purpose, shop_id: UUID, row_id: UUID) -> str:
        body = f"{shop_id.hex}.{row_id.hex}"
        mac = hmac.digest(_derived(secret, purpose), body.encode(), "sha256")
        return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def new_refresh_token(shop_id: UUID) -> str:
    """The shop in front tells where to look, and grants nothing."""
    return f"{shop_id.hex}.{secrets.token_urlsafe(32)}"


def refresh_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def shop_of_refresh_token(token: str) -> UUID | None:
    try:
        return UUID(token.split(".")[0])
    except ValueError:
        return None
