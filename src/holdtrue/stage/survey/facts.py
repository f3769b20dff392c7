"""The facts about an app that its survey finds: the same words for every framework."""

from dataclasses import dataclass, field
from typing import Any

ANY_METHOD = "*"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where something is defined; `file` is relative to the app's directory when inside it."""

    module: str
    qualname: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.module}:{self.qualname}"


@dataclass(frozen=True, kw_only=True)
class SecurityNeed:
    """One security scheme that must be satisfied, with these scopes."""

    scheme: str
    kind: str  # a FastAPI class such as OAuth2PasswordBearer, or an OpenAPI type such as http, apiKey, oauth2
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A dependency of an endpoint, with what it depends on itself."""

    call: Source
    # What the call was made with, where it is text or a number: the "refund" of Depends(needs("refund")).
    arguments: dict[str, str | int | bool | tuple[str | int | bool, ...]] = field(default_factory=dict, hash=False)
    scopes: tuple[str, ...] = ()
    security: tuple[SecurityNeed, ...] = ()
    parameters: tuple[str, ...] = ()
    dependencies: tuple["Dependency", ...] = ()


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a route (OpenAPI 3.1, Parameter Object)."""

    name: str
    location: str  # path, query, header, cookie
    required: bool
    schema: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Body:
    """A request body, in the first media type the route takes (JSON is preferred)."""

    media_type: str
    required: bool
    schema: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One path and the methods that one endpoint answers on it, in matching order."""

    path: str  # with {name} for parameters, mount prefixes joined
    methods: tuple[str, ...]  # upper case; ("*",) when the endpoint sees every method
    name: str | None = None
    host: str | None = None
    operation_id: str | None = None
    endpoint: Source | None = None  # None when all that is known is an OpenAPI document
    path_params: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    security: tuple[tuple[SecurityNeed, ...], ...] = ()  # alternatives; an empty one means that nothing is needed
    in_openapi: bool = False  # shown in the document of the app it belongs to
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None

    def dependency_calls(self) -> tuple[Source, ...]:
        """Every dependency of the whole tree, depth first, each once."""
        found: dict[Source, None] = {}

        def collect(dependencies: tuple[Dependency, ...]) -> None:
            for dependency in dependencies:
                found.setdefault(dependency.call)
                collect(dependency.dependencies)

        collect(self.dependencies)
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class WebSocket:
    """A websocket route."""

    path: str
    name: str | None = None
    host: str | None = None
    endpoint: Source
    path_params: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    security: tuple[tuple[SecurityNeed, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mount:
    """An application mounted at a path that has no route table to read, such as static files."""

    path: str
    host: str | None = None
    app: Source


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An exception raised in the app's own process."""

    type: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        first_line = self.message.partition("\n")[0].strip()
        return f"{self.type}: {first_line}" if first_line else self.type

    def last_lines(self, count: int = 12) -> str:
        """The end of the traceback."""
        return "\n".join(self.traceback.rstrip().splitlines()[-count:])


@dataclass(frozen=True, kw_only=True)
class Routing:
    """How requests reach an app's code."""

    framework: str
    versions: dict[str, str | None]
    openapi_url: str | None
    routes: tuple[Route, ...]
    websockets: tuple[WebSocket, ...]
    mounts: tuple[Mount, ...]
    middleware: tuple[Source, ...]  # outermost first
    problems: tuple[Problem, ...] = ()  # what the app raised while its OpenAPI documents were made


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a mapped table."""

    name: str
    type: str  # in PostgreSQL's words
    nullable: bool
    primary_key: bool
    default: bool  # the code or the server fills it
    foreign_keys: tuple[str, ...] = ()  # "schema.table.column" or "table.column"


@dataclass(frozen=True, kw_only=True)
class Model(Source):
    """A class mapped to a table; `attributes` names the column behind each attribute."""

    attributes: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table the app's code knows."""

    name: str
    schema: str | None = None
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()  # constraints and unique indexes, besides the primary key
    models: tuple[Model, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Models:
    """What the app's code knows of its database."""

    versions: dict[str, str | None]
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One migration."""

    revision: str
    down_revisions: tuple[str, ...] = ()  # empty for a base, two or more for a merge
    depends_on: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    file: str
    message: str | None = None
    is_merge: bool = False
    is_branch_point: bool = False
    is_head: bool = False


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """All migrations, each after those it builds on."""

    revisions: tuple[Revision, ...]
    heads: tuple[str, ...]
    bases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one migration command came to."""

    seconds: float
    problem: Problem | None = None

    @property
    def ok(self) -> bool:
        """Whether the command went through."""
        return self.problem is None
