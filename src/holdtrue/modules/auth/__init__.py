"""Who somebody is: sign-up with a proved address, sessions, access tokens, API keys."""

from holdtrue.modules.auth.contract import (
    API_KEY_CREATED,
    API_KEY_REVOKED,
    ARRIVED,
    CONTRACT,
    EXTRA_CLAIMS,
    KEYS,
    PASSWORD_CHANGED,
    REFRESH_TOKEN_REUSED,
    SIGN_UP_ASKED,
    SIGNED_IN,
    SIGNED_OUT,
    SIGNED_UP,
    SIGNING_KEY_REVOKED,
    SIGNING_UP,
)
from holdtrue.modules.auth.flows.people import email_of
from holdtrue.modules.auth.flows.signing_keys import revoke_signing_key
from holdtrue.modules.auth.http import LiveUnit
from holdtrue.modules.auth.module import Auth
from holdtrue.modules.auth.payloads import (
    ApiKeyCreated,
    ApiKeyRevoked,
    Arrival,
    ExtraClaims,
    PasswordChanged,
    RefreshTokenReused,
    SignedIn,
    SignedOut,
    SignedUp,
    SigningKeyRevoked,
    SigningUp,
    SignUpAsked,
)
from holdtrue.modules.auth.settings import AuthSettings

__all__ = [
    "API_KEY_CREATED",
    "API_KEY_REVOKED",
    "ARRIVED",
    "CONTRACT",
    "EXTRA_CLAIMS",
    "KEYS",
    "PASSWORD_CHANGED",
    "REFRESH_TOKEN_REUSED",
    "SIGNED_IN",
    "SIGNED_OUT",
    "SIGNED_UP",
    "SIGNING_KEY_REVOKED",
    "SIGNING_UP",
    "SIGN_UP_ASKED",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "Arrival",
    "Auth",
    "AuthSettings",
    "ExtraClaims",
    "LiveUnit",
    "PasswordChanged",
    "RefreshTokenReused",
    "SignUpAsked",
    "SignedIn",
    "SignedOut",
    "SignedUp",
    "SigningKeyRevoked",
    "SigningUp",
    "email_of",
    "revoke_signing_key",
]
