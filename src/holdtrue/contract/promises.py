"""A module's promise: the words of ``contract.py`` in every module folder, and their digest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel

from holdtrue.contract import document
from holdtrue.contract.errors import UsageError
from holdtrue.contract.hooks import Binding, Event, Hook, Job, Schedule, qualified

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_REQUIREMENT = re.compile(r"([a-z][a-z0-9_]*)(?:>=(\d+)\.(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Something a principal may do: ``orders.refund``. In a token it is a scope."""

    name: str
    doc: str

    def __post_init__(self) -> None:
        qualified(self.name, "permission")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a role may do. Granting is a decision that a plan shows and a human approves."""

    role: str
    permissions: tuple[str, ...]
    """``*`` stands for all that the composed modules declare."""


@dataclass(frozen=True, kw_only=True)
class Public:
    """Anybody may call the route."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The route verifies a signature over the raw body, and nothing else guards it."""

    source: str
    """Who signs: the name of a webhook in ``Rehearsal.webhooks``."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Anybody signed in may call the route; it concerns the person, not a tenant."""


Access = Permission | Public | Signature | SignedIn
"""The decision without which no route mounts."""


def public(reason: str) -> Public:
    """Open to anybody, for a reason that the report shows."""
    if len(reason.strip()) < 5:
        raise UsageError(
            f"public({reason!r}) gives no reason",
            why="A reviewer must be able to see why nobody is asked who they are.",
            do='Say why: public("sign-in").',
        )
    return Public(reason=reason)


def signature(source: str) -> Signature:
    """Guarded by a signature that the handler verifies over the raw body."""
    return Signature(source=source)


def signed_in() -> SignedIn:
    """Open to anybody who is signed in, in whatever tenant or none."""
    return SignedIn()


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route as the router declares it."""

    method: str
    path: str
    """Below the module's prefix, as FastAPI writes it: ``/orders/{order_id}``."""
    access: Access
    rehearse: document.Call | None = None
    """How a rehearsal calls it with success, where it needs more than the path."""

    @property
    def key(self) -> str:
        """``METHOD /path``, as the contract document names it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table and its tenant decision: a tenant column, or a reason why it belongs to no tenant."""

    name: str
    tenant: str | None = "tenant_id"
    global_: str | None = None
    """The reason why it belongs to no tenant; then ``tenant`` is None."""
    unaudited: str | None = None
    """The reason why a change of it leaves no event; every change of a tenant table must leave one otherwise."""

    def __post_init__(self) -> None:
        if (self.tenant is None) == (self.global_ is None):
            raise UsageError(
                f"table {self.name} needs exactly one of a tenant column and a reason for being global",
                why="A table without tenant decision is where one tenant reads another's rows.",
                do='Table(name="orders"), or Table(name="currencies", tenant=None, global_="the same for everybody").',
            )


def global_table(name: str, reason: str, *, unaudited: str | None = None) -> Table:
    """A table that belongs to no tenant, and why."""
    return Table(name=name, tenant=None, global_=reason, unaudited=unaudited)


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret that the module is given by environment; by name, never by value."""

    name: str
    """The environment variable."""
    doc: str
    rehearse: str = "{secret:signing}"
    """What a rehearsal sets it to: a placeholder of the contract document (``document.Process.env``)."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A setting that is no secret, and what a rehearsal sets it to."""

    name: str
    rehearse: str


@dataclass(frozen=True, kw_only=True)
class OutboundHost:
    """A host the module calls."""

    host: str
    """A host name, or the name of the setting that holds it: ``$SMTP_HOST``."""
    why: str


@dataclass(frozen=True, kw_only=True)
class SideEffect:
    """Something that leaves the database: money, a mail, a call."""

    name: str
    doc: str
    approval: Literal["none", "plan", "request"] = "none"
    """``plan``: a change of this entry needs a signed plan. ``request``: each one above the module's threshold needs a
    second person at run time as well."""

    def __post_init__(self) -> None:
        qualified(self.name, "side effect")


@dataclass(frozen=True, kw_only=True)
class MailTemplate:
    """A mail: a typed payload and Jinja templates over its fields. Rendered in the transaction that owes it."""

    name: str
    payload: type[BaseModel]
    subject: str
    text: str
    html: str | None = None
    stream: Literal["security", "transactional", "marketing"] = "transactional"

    def __post_init__(self) -> None:
        qualified(self.name, "mail template")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """Another module, by name and least version; a later major version does not do."""

    module: str
    major: int | None = None
    minor: int = 0

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """``tenancy`` or ``tenancy>=1.2``."""
        found = _REQUIREMENT.fullmatch(text)
        if found is None:
            raise UsageError(f"{text!r} is no requirement", do='Write "tenancy" or "tenancy>=1.2".')
        name, major, minor = found.groups()
        return cls(module=name, major=None if major is None else int(major), minor=int(minor or 0))

    def accepts(self, version: str) -> bool:
        """Whether a contract version satisfies it."""
        major, minor, _ = (int(part) for part in version.split("."))
        return self.major is None or (major == self.major and minor >= self.minor)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One module's promise, with a semantic version of its own."""

    name: str
    version: str
    doc: str = ""
    requires: tuple[str, ...] = ()
    """Modules it cannot do without: ``tenancy>=1.0``."""
    optional: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()
    grants: tuple[Grant, ...] = ()
    """What roles may do, in the one module that knows roles."""
    events: tuple[Event[Any], ...] = ()
    """Events it emits."""
    consumes: tuple[Event[Any], ...] = ()
    """Events of others that it has bindings for."""
    hooks: tuple[Hook[Any], ...] = ()
    """Hooks it offers."""
    binds: tuple[Hook[Any], ...] = ()
    """Hooks of others that it has bindings for."""
    jobs: tuple[Job[Any], ...] = ()
    schedules: tuple[Schedule, ...] = ()
    tables: tuple[Table, ...] = ()
    secrets: tuple[Secret, ...] = ()
    variables: tuple[Variable, ...] = ()
    hosts: tuple[OutboundHost, ...] = ()
    effects: tuple[SideEffect, ...] = ()
    mails: tuple[MailTemplate, ...] = ()
    guarantees: tuple[str, ...] = ()
    """Codes of the guarantees it keeps."""
    rehearsal: document.Rehearsal = field(default_factory=document.Rehearsal)
    routes: tuple[Route, ...] = ()
    """Filled from the module's router: a route and its decision stand at the handler, and nowhere else."""

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise UsageError(f"{self.name}: version {self.version!r} is not semantic", do='Write "1.0.0" (semver.org).')
        own = (self.permissions, self.events, self.hooks, self.jobs, self.effects, self.mails)
        for name in (each.name for entries in own for each in entries):
            module, _, thing = name.partition(".")
            if module != self.name:
                raise UsageError(
                    f"{self.name} declares {name}",
                    why="The name belongs to another module.",
                    do=f'Name it "{self.name}.{thing}", or declare it there.',
                )

    def with_routes(self, routes: tuple[Route, ...]) -> Contract:
        """The same promise with the routes of its router."""
        return replace(self, routes=routes)

    def as_json(self) -> dict[str, Any]:
        """The promise as JSON values; a payload is its JSON Schema, so that a changed type changes the digest."""
        return {each.name: _json(getattr(self, each.name)) for each in fields(self)}

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON: sorted keys, no spaces, UTF-8."""
        return digest(self.as_json())


def digest(value: object) -> str:
    """SHA-256 over canonical JSON (RFC 8785 for what occurs here: no floats). ``sha256:…``."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def binding_json(binding: Binding) -> dict[str, Any]:
    """A binding as the lock shows it."""
    return {"target": binding.target.name, "kind": binding.target.kind, "function": binding.name}


def _json(value: object) -> Any:
    match value:
        case type() if issubclass(value, BaseModel):
            return value.model_json_schema()
        case type():
            return value.__name__
        case BaseModel():
            return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        case Schedule():
            return {"job": value.job.name, "every_seconds": int(value.every.total_seconds())}
        case timedelta():
            return value.total_seconds()
        case Binding():
            return binding_json(value)
        case tuple() | list():
            return [_json(each) for each in value]
        case dict():
            return {str(key): _json(each) for key, each in value.items()}
    if is_dataclass(value):
        told = {each.name: _json(getattr(value, each.name)) for each in fields(value)}
        kind = getattr(value, "kind", None) or type(value).__name__.lower()
        return {"is": kind} | {name: each for name, each in told.items() if each not in (None, "", [], {})}
    return value
