"""Settings from the environment: everything that is wrong with them is said at once, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from holdtrue.runtime.database import psycopg_url
from holdtrue.runtime.faults import Fault, Faults

S = TypeVar("S", bound="ModuleSettings")
_PLACEHOLDERS = ("changeme", "change-me", "change_me", "password", "secret", "placeholder", "example", "your-")
OF_A_REHEARSAL = "HOLDTRUE_STAGE_"
"""Begins what a rehearsal tells a process about its surroundings; no setting of the app."""


def prefix(text: str) -> SettingsConfigDict:
    """The ``model_config`` of a module's settings: every variable begins with ``text``, as in ``PAYMENTS_``."""
    return SettingsConfigDict(env_prefix=text, frozen=True, extra="forbid", hide_input_in_errors=True)


class ModuleSettings(BaseSettings):
    """The base of a module's settings. Its values come from ``load`` alone, never from a file or by themselves."""

    model_config = prefix("")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What ``load`` hands over."""
        return (init_settings,)


def _strong(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) < 32:
        raise ValueError("must have at least 32 characters; make one with secrets.token_urlsafe(48)")
    if len(set(text)) < 10 or any(word in text.lower() for word in _PLACEHOLDERS):
        raise ValueError("is guessable; make one with secrets.token_urlsafe(48)")
    return value


def _postgres(value: SecretStr) -> SecretStr:
    return SecretStr(psycopg_url(value.get_secret_value()))


SecretKey = Annotated[SecretStr, AfterValidator(_strong)]
"""A key that signs or encrypts: 32 random characters or more."""
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres)]


class RuntimeSettings(ModuleSettings):
    """Times are in seconds unless the name says otherwise."""

    model_config = prefix("HOLDTRUE_")

    database_url: PostgresUrl = Field(validation_alias="DATABASE_URL")
    """The app's role: owns nothing, no superuser, not past row-level security."""
    worker_database_url: PostgresUrl | None = Field(default=None, validation_alias="WORKER_DATABASE_URL")
    """The worker's role, where it has one of its own."""
    pool_size: int = Field(default=10, ge=1, le=500)
    statement_seconds: float = Field(default=20.0, gt=0)
    prepare: bool = True
    """Prepared statements; False behind a pooler that lends connections by transaction."""
    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    lane_concurrency: int = Field(default=4, ge=1)
    """How many pieces of work of one lane a worker does at once."""
    lanes_together: bool = False
    """One loop looks for the work of all lanes: fewer connections, but a slow dependency may hold up the others."""
    poll_seconds: float = Field(default=5.0, gt=0)
    """How often a worker looks for work whose time has come; new work wakes it at once."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a worker may be silent before another takes over its work."""
    sweep_seconds: float = Field(default=15.0, gt=0)
    """How often a worker looks for what was overlooked, such as the work of one that died."""
    backoff_seconds: float = Field(default=5.0, gt=0)
    """The ceiling of the first wait after a failure; it doubles with each."""
    keep_days: float = Field(default=7.0, gt=0)
    """How long done work is kept; the inbox six times as long, so that late duplicates are known."""
    stop_seconds: float = Field(default=20.0, gt=0)
    """How long a stopping worker may finish what it has begun."""


def load(kinds: Sequence[type[ModuleSettings]], environ: Mapping[str, str]) -> dict[type, Any]:
    """Each kind of settings with its values.

    Raises:
        Faults: every missing, wrong, weak or unknown variable of all kinds (SETTING_…).
    """
    found: dict[type, Any] = {}
    faults: list[Fault] = []
    for kind in kinds:
        source = EnvSettingsSource(kind)
        source.env_vars = {name.lower(): value for name, value in environ.items()}
        faults += _unknown(kind, environ)
        try:
            found[kind] = kind(**source())
        except ValidationError as error:
            faults += [_fault(kind, cast("dict[str, Any]", each)) for each in error.errors(include_input=False)]
    if faults:
        raise Faults(faults)
    return found


def variables(kind: type[ModuleSettings]) -> dict[str, bool]:
    """The environment variables of a kind of settings, and whether each is required."""
    return {_variable(kind, name): field.is_required() for name, field in kind.model_fields.items()}


def _variable(kind: type[ModuleSettings], name: str) -> str:
    field = kind.model_fields.get(name)
    alias = field.validation_alias if field else None
    return alias if isinstance(alias, str) else f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def _unknown(kind: type[ModuleSettings], environ: Mapping[str, str]) -> Iterable[Fault]:
    start = kind.model_config.get("env_prefix", "").upper()
    known = set(variables(kind))
    for name in sorted(environ):
        ours = start and name.upper().startswith(start) and not name.startswith(OF_A_REHEARSAL)
        if ours and name.upper() not in known:
            yield Fault(
                "SETTING_UNKNOWN",
                f"{name} is set, and nothing reads it",
                why="A misspelt setting is one that silently has its default.",
                do=f"Known are: {', '.join(sorted(known))}.",
            )


def _fault(kind: type[ModuleSettings], error: dict[str, Any]) -> Fault:
    place = str(error["loc"][0]) if error["loc"] else ""
    name = place if place.isupper() else _variable(kind, place)
    if error["type"] == "missing":
        return Fault("SETTING_MISSING", f"{name} is not set", do=f"Set {name}.")
    return Fault("SETTING_WRONG", f"{name}: {error['msg'].removeprefix('Value error, ')}")
