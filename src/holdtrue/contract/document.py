"""The contract document: one language-neutral description of an app, and how a rehearsal uses it.

A composed app derives it; an adopted app writes it as ``holdtrue.toml``. Every model refuses unknown keys, so that a
misspelt promise is an error and not a promise silently lost.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Command = str | list[str]
RouteKey = Annotated[str, Field(pattern=r"^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /\S*$")]
JsonValue = Any


class Model(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        str_strip_whitespace=True,
        # The attribute docstrings are the descriptions in the published JSON Schema.
        use_attribute_docstrings=True,
        # Only the whole document is validated: a validator for each part of it would be made at every start.
        defer_build=True,
    )


class App(Model):
    """Who is held."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown in reports."""


class Process(Model):
    """How the stage starts the app as a process of its own.

    Commands are split as a shell would, without a shell. Placeholders: ``{python}``, ``{port}``, and those of ``env``.
    """

    asgi: str | None = None
    """``pkg.module:app``: started with the app's own uvicorn."""
    start: Command | None = None
    """The start command of any other app; it must listen on 127.0.0.1:{port}."""
    python: str | None = None
    """An interpreter that already has the app's requirements, such as ``.venv/bin/python``; else one is built."""
    install: Command | None = None
    """A requirement file or an install command; guessed from the lock files when absent."""
    migrate: Command | None = None
    """Brings an empty database to the schema of the code."""
    seed: list[Command] = []
    """One-shot commands after the migration, such as one that creates reference data."""
    worker: Command | None = None
    """A background worker, started as a process of its own."""
    ready: str | None = None
    """The path that answers 2xx once the app can serve; without it, a listening port is taken for ready."""
    ready_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    """How long the app may take to become ready, in seconds."""
    extensions: list[str] = []
    """PostgreSQL extensions the migrations need; they are created by the stage as superuser."""
    env: dict[str, str] = {}
    """The whole environment of the app. Placeholders: ``{postgres_url}``, ``{postgres_owner_url}``,
    ``{postgres_host}``, ``{postgres_port}``, ``{postgres_user}``, ``{postgres_password}``,
    ``{postgres_database}``, ``{stripe_url}``, ``{stripe_key}``, ``{stripe_webhook_secret}``, ``{smtp_host}``,
    ``{smtp_port}``, ``{port}``, ``{secret:NAME}``."""
    migrate_env: dict[str, str] = {}
    """What the migration's environment has in addition, such as the owner's database URL."""

    @model_validator(mode="after")
    def _one_start(self) -> Process:
        if (self.asgi is None) == (self.start is None):
            raise ValueError('give exactly one of `asgi` ("pkg.module:app") and `start` (a command)')
        return self


class Migrations(Model):
    """How the schema moves, one revision at a time."""

    tool: Literal["alembic", "command"] = "alembic"
    config: str = "alembic.ini"
    """Alembic's configuration file."""
    up: Command | None = None
    """For ``command``: applies the next revision; exits 0."""
    down: Command | None = None
    """For ``command``: undoes the newest applied revision; exits 0."""
    steps: Command | None = None
    """For ``command``, optional: stays up and does what each line of its standard input says, a JSON object that is
    answered by one on standard output. ``{"do": "revisions"}`` → ``{"revisions": [oldest, …]}``; ``{"do": "up"}``
    applies the next, ``{"do": "down"}`` undoes the newest → ``{"moved": REVISION}``; or ``{"error": "why"}``. Ends with
    its input, and holds no connection between two lines."""
    ledger: list[str] = ["alembic_version"]
    """Book-keeping tables of the tool, left out of comparisons."""
    irreversible: dict[str, str] = {}
    """Revision → reason: these refuse to go down, on purpose."""

    @model_validator(mode="after")
    def _commands(self) -> Migrations:
        if self.tool == "command" and not (self.up and self.down):
            raise ValueError('tool = "command" needs both `up` and `down`')
        return self


class Request(Model):
    """An HTTP request of a rehearsal, and what to keep of its answer."""

    request: RouteKey
    """``METHOD /path``; placeholders in the path are percent-encoded."""
    as_: Annotated[str | None, Field(alias="as")] = None
    """The principal that sends it; nobody when absent. In a per-tenant step, ``owner`` means the one of that tenant."""
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    json_: Annotated[JsonValue, Field(alias="json")] = None
    form: dict[str, str] | None = None
    expect: int | list[int] | None = None
    """The status that means success; any status below 400 when absent."""
    capture: dict[Name, str] = {}
    """Variable → where it is: a JMESPath into the JSON body, ``header:NAME`` or ``cookie:NAME``."""


class Inbox(Model):
    """Takes a link or code out of the mailbox."""

    mail: str
    """The recipient."""
    capture: Annotated[dict[Name, str], Field(min_length=1)]
    """Variable → regular expression with one group, searched in the text and the HTML of the newest mail."""


class Run(Model):
    """A one-shot command in the app's environment."""

    run: Command
    capture: dict[Name, str] = {}
    """Variable → regular expression with one group, searched in the output."""


Step = Request | Inbox | Run


class Principal(Model):
    """Somebody who can sign in. The usual cast has an owner and a plain member in each of two tenants."""

    per: Literal["tenant", "app"] = "tenant"
    """One in each of the two tenants, or one for the whole app (a platform admin)."""
    permissions: list[str] = []
    """What it holds; ``*`` is everything."""
    steps: list[Step] = []
    """How it comes to be and signs in. The first ``per = "tenant"`` principal usually creates the tenant."""
    headers: dict[str, str] = {}
    """What every request of its session carries, such as ``Authorization = "Bearer {access_token}"``."""
    cookies: dict[str, str] = {}


class Resource(Model):
    """Something a tenant owns, made once in each tenant. Its captured ids fill path parameters of the same name."""

    as_: Annotated[str, Field(alias="as")]
    steps: Annotated[list[Step], Field(min_length=1)]
    """``as`` need not be repeated in the requests. Put ``{canary}`` into a free text field: leaks are known by it."""


class Call(Model):
    """How a rehearsal calls a route with success, where that takes more than the path."""

    as_: Annotated[str | None, Field(alias="as")] = None
    """The principal of the positive twin; the first that holds the permission when absent."""
    before: list[Step] = []
    """What must have happened for the call to succeed."""
    after: str | None = None
    """The journey (``webhook.journey``) that must have happened for the call to succeed."""
    params: dict[str, str] = {}
    """Path parameter → value, where it differs from the variable of the same name."""
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    json_: Annotated[JsonValue, Field(alias="json")] = None
    form: dict[str, str] | None = None
    expect: int | list[int] | None = None


class Route(Call):
    """What a route needs, and how a rehearsal calls it with success."""

    permission: str | None = None
    """The permission it needs; ``signed_in`` when being signed in suffices."""
    public: str | None = None
    """The reason why anybody may call it."""
    signature: str | None = None
    """The webhook that guards it by a signature."""
    out_of_scope: str | None = None
    """The reason why no rehearsal calls it; it is counted in the verdict."""
    scope: Literal["tenant", "account"] = "tenant"
    """``account``: concerns the person, not the tenant; still answers somebody who left the tenant."""

    @model_validator(mode="after")
    def _one_guard(self) -> Route:
        guards = [self.permission, self.public, self.signature, self.out_of_scope]
        if sum(guard is not None for guard in guards) != 1:
            raise ValueError("give exactly one of `permission`, `public`, `signature` and `out_of_scope`")
        return self


class Refresh(Model):
    """How a session is renewed with a refresh token."""

    principal: Name
    """Whose ``refresh_token`` variable is used."""
    step: Request
    """Sends ``{refresh_token}``; captures ``access_token`` and ``refresh_token``."""
    probe: RouteKey
    """A route the access token opens."""
    login: list[Step]
    """Signs the principal in once more, for a session of the rehearsal's own; captures the same two variables."""


class Removal(Model):
    """A change after which a principal must be out at its next request."""

    principal: Name
    """Who is put out."""
    steps: Annotated[list[Step], Field(min_length=1)]


class Ending(Model):
    """What must end a session: a sign-out, a new password, an account that is disabled."""

    principal: Name
    """Whose session ends."""
    steps: Annotated[list[Step], Field(min_length=1)]
    """Sent by that principal unless a step names somebody else."""
    probe: RouteKey
    """A route that the session opens before, and no more afterwards."""


class Tenancy(Model):
    """Which rows belong to whom."""

    tenant: str
    """The captured variable that names a tenant in rows, such as ``shop_id``."""
    headers: dict[str, str] = {}
    """What every request inside a tenant carries, such as ``Host = "{tenant}.example.test"``."""
    tables: dict[str, str] = {}
    """Table → its tenant column."""
    global_: Annotated[dict[str, str], Field(alias="global")] = {}
    """Table → the reason why it belongs to no tenant."""
    removals: dict[Name, Removal] = {}


class Journey(Model):
    """A purchase, up to the webhooks that the provider sends for it."""

    steps: Annotated[list[Step], Field(min_length=1)]
    """What the app is asked for until a Checkout session or a payment exists."""
    customer: Literal["pay", "abandon", "decline"] = "pay"
    """What the customer does at the provider."""
    events: Annotated[list[str], Field(min_length=1)]
    """Types of the resulting events that this app listens to, in order."""


class Webhook(Model):
    """Events that a provider sends."""

    route: RouteKey
    provider: Literal["stripe"] = "stripe"
    events: list[str] = []
    """The types its endpoint is subscribed to at the provider; every type when empty."""
    reconcile: Command | None = None
    """A one-shot command that a scheduler runs, which fetches what never arrived; a worker's own job needs none."""
    journeys: Annotated[dict[Name, Journey], Field(min_length=1)]


class Mail(Model):
    """A mail that must arrive, and what causes it."""

    to: str
    before: list[Step] = []
    """What must have happened before; ``{unique}`` is new at every use."""
    cause: Request
    """The request that owes the mail."""


class Audit(Model):
    """The record of who changed what."""

    tables: Annotated[list[str], Field(min_length=1)]
    """Where events are written; only ever appended to."""
    covers: list[str] = []
    """Tables whose every change leaves an event; all tenant tables but the audit tables when empty."""
    except_: Annotated[dict[str, str], Field(alias="except")] = {}
    """Table → the reason why its changes leave no event (sessions, outbox, counters)."""


class Rehearsal(Model):
    """A module's share of the contract document that only a rehearsal needs: who acts, and how things come to be."""

    arrival: Principal | None = None
    """How anybody comes to be a signed-in person. Its steps, headers and cookies come first in those of every principal
    that says nothing of the kind; ``{principal}`` stands for the principal's name."""
    principals: dict[Name, Principal] = {}
    resources: dict[Name, Resource] = {}
    refresh: Refresh | None = None
    endings: dict[Name, Ending] = {}
    tenant: str | None = None
    """The captured variable that names a tenant in rows."""
    tenant_headers: dict[str, str] = {}
    """What every request inside a tenant carries."""
    removals: dict[Name, Removal] = {}
    webhooks: dict[Name, Webhook] = {}
    mail: dict[Name, Mail] = {}
    audit_tables: list[str] = []
    env: dict[str, str] = {}


class Waiver(Model):
    """A guarantee that is accepted as broken for now. It is shown in every report."""

    code: Annotated[str, Field(pattern=r"^[A-Z]{3,4}\d{3}$")]
    reason: Annotated[str, Field(min_length=10)]
    owner: Annotated[str, Field(min_length=1)]
    until: date
    findings: list[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]] = []
    """Only these, by their fingerprints in the report; without them, whatever the guarantee finds."""


class Document(Model):
    """One app, as the hold tower knows it."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    app: App
    process: Process
    migrations: Migrations | None = None
    openapi: str | None = None
    """The path under which the app serves its OpenAPI document; its routes must all be declared."""
    permissions: dict[str, str] = {}
    """Permission → what it allows."""
    principals: dict[Name, Principal] = {}
    resources: dict[Name, Resource] = {}
    routes: dict[RouteKey, Route] = {}
    refresh: Refresh | None = None
    endings: dict[Name, Ending] = {}
    """What ends a session; afterwards no token of it opens anything."""
    tenancy: Tenancy | None = None
    webhooks: dict[Name, Webhook] = {}
    mail: dict[Name, Mail] = {}
    audit: Audit | None = None
    tables_out_of_scope: dict[str, str] = {}
    """Table → the reason why no guarantee looks at it."""
    waivers: list[Waiver] = []

    @property
    def two_roles(self) -> bool:
        """Whether migrations run as another database role than the app."""
        return any("{postgres_owner_url}" in value for value in self.process.migrate_env.values()) or any(
            "{postgres_owner_url}" in value for value in self.process.env.values()
        )


PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::[^}]*)?\}")
"""A path parameter of a route template."""
