"""Everything the app is told from outside. Secrets have no defaults; a weak or missing one stops the boot."""

from typing import Annotated

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PLACEHOLDERS = ("changeme", "change-me", "change_me", "password", "your-secret", "placeholder")


def checked_key(value: str) -> str:
    if len(value) < 32:
        raise ValueError("must have at least 32 characters; use secrets.token_urlsafe(48)")
    if len(set(value)) < 10 or any(word in value.lower() for word in PLACEHOLDERS):
        raise ValueError("is guessable; use a random value")
    return value


def psycopg_url(url: str) -> str:
    """SQLAlchemy's spelling of a PostgreSQL URL with the psycopg 3 driver."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("must be a postgresql:// URL")
    return f"postgresql+psycopg://{rest}"


class Settings(BaseSettings):
    """Times are in seconds unless the name says otherwise."""

    # A refused secret must not end up in the log of the failed start.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    database_url: SecretStr
    db_pool_size: int = Field(default=20, ge=1, le=200)
    statement_timeout: int = Field(default=20, ge=1)

    secret_key: SecretStr
    # Earlier keys, comma separated: what they signed stays valid for its own lifetime.
    secret_keys_previous: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    access_token_seconds: int = Field(default=600, ge=1, le=600)
    session_days: int = Field(default=30, ge=1, le=90)
    reset_minutes: int = Field(default=30, ge=1, le=24 * 60)
    invitation_days: int = Field(default=7, ge=1, le=30)

    stripe_api_key: SecretStr = Field(min_length=8)
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(min_length=1)

    smtp_host: str = Field(min_length=1)
    smtp_port: int = Field(ge=1, le=65535)
    smtp_starttls: bool = False
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str = Field(pattern=r"^[^@\s<>,]+@[A-Za-z0-9.-]+$")
    base_url: AnyHttpUrl

    login_limit_per_minute: int = Field(default=20, ge=1)
    mail_limit_per_hour: int = Field(default=20, ge=1)
    invitation_limit_per_day: int = Field(default=100, ge=1)

    worker_poll_seconds: float = Field(default=1.0, gt=0)
    worker_lease_seconds: float = Field(default=120.0, gt=0)
    # With the default base, 24 attempts reach over three days.
    worker_max_attempts: int = Field(default=24, ge=1)
    retry_base_seconds: float = Field(default=5.0, gt=0)

    @field_validator("secret_keys_previous", "stripe_webhook_secrets", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        return SecretStr(psycopg_url(value.get_secret_value()))

    @model_validator(mode="after")
    def _strong(self) -> "Settings":
        for key in (self.secret_key, *self.secret_keys_previous):
            checked_key(key.get_secret_value())
        if any(len(secret.get_secret_value()) < 10 for secret in self.stripe_webhook_secrets):
            raise ValueError("STRIPE_WEBHOOK_SECRETS: each secret needs at least 10 characters")
        return self

    @property
    def live(self) -> bool:
        """Whether the Stripe key moves real money."""
        return self.stripe_api_key.get_secret_value().split("_")[1:2] == ["live"]

    def link(self, path: str) -> str:
        return str(self.base_url).rstrip("/") + path


def load_settings() -> Settings:
    return Settings()  # type: ignore[call-arg]  # filled from the environment
