"""What payments is told by the environment."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from holdtrue.runtime import ModuleSettings, prefix

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class PaymentsSettings(ModuleSettings):
    """Times are in seconds unless the name says otherwise."""

    model_config = prefix("PAYMENTS_")

    stripe_api_key: SecretStr
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(min_length=1)
    """The endpoint's signing secrets, comma separated; while one is replaced, the old and the new."""
    return_url: str
    """Where Stripe's page sends the customer afterwards, with ``checkout`` and ``outcome`` added. It grants nothing."""
    stripe_api_base: str = "https://api.stripe.com"
    """Of a double, for tests and development."""
    stripe_timeout_seconds: float = Field(default=10.0, gt=0)
    stripe_retries: int = Field(default=2, ge=0, le=5)
    reconcile_after_seconds: float = Field(default=300.0, ge=0)
    """Younger events are left to their webhooks, which are under way."""
    webhook_tolerance_seconds: int = Field(default=300, ge=1, le=900)
    """How old, or how far ahead, a signature may be."""

    @field_validator("stripe_webhook_secrets", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _strong(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            text = secret.get_secret_value()
            if not text.startswith("whsec_") or len(text) < 22:
                raise ValueError('each secret begins with "whsec_", as Stripe shows it for the endpoint')
        return value

    @field_validator("stripe_api_key")
    @classmethod
    def _key(cls, value: SecretStr) -> SecretStr:
        parts = value.get_secret_value().split("_")
        if len(parts) < 3 or parts[0] not in ("sk", "rk") or parts[1] not in ("test", "live") or len(parts[2]) < 10:
            raise ValueError('must be a secret or restricted key of Stripe: "sk_test_…", "rk_live_…"')
        return value

    @field_validator("return_url", "stripe_api_base")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or local):
            raise ValueError("must be an https:// URL; http:// is for loopback only")
        return value.rstrip("/")

    @property
    def live(self) -> bool:
        """Whether the key moves real money."""
        return self.stripe_api_key.get_secret_value().split("_")[1] == "live"
