"""The live route table of a FastAPI or Starlette app. Runs in the app's interpreter; see ``launch.py``.

Python 3.8 syntax, standard library only. Works with FastAPI 0.100 and later: older ones copy included routes
into the app, newer ones keep a lazy router there and list its routes by ``fastapi.routing.iter_route_contexts``.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from functools import partial
from typing import Any, Iterator  # noqa: UP035 (3.8)

HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
SECRET = re.compile(r"secret|password|token|key", re.IGNORECASE)
LONGEST_ARGUMENT = 200
DEEPEST_WRAPPING = 12


def run(frame: Any, arguments: list[str]) -> None:
    """Answer one document: routes, websockets, mounts, middleware, and the schema of every route, shown or not."""
    frame.answer(Survey(frame).of(_called(frame.load(arguments[0]))))


def _called(found: Any) -> Any:
    is_factory = inspect.isfunction(found) and not inspect.iscoroutinefunction(found) and not _takes_scope(found)
    return found() if is_factory else found


def _takes_scope(function: Any) -> bool:
    return len(inspect.signature(function).parameters) == 3


def _optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None


class Survey:
    """One walk over an app and all that is mounted on it."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        self.starlette = importlib.import_module("starlette.routing")
        self.fastapi = _optional("fastapi")
        self.fastapi_routing = _optional("fastapi.routing")
        self.routes: list[dict[str, Any]] = []
        self.websockets: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []
        self.schemas: list[dict[str, Any]] = []
        self.problems: list[dict[str, str]] = []

    def of(self, app: Any) -> dict[str, Any]:
        """The document for an ASGI app."""
        routed, wrappers = _routed(app)
        if routed is None:
            raise TypeError(
                f"the object is a {type(app).__qualname__}, and neither it nor what it wraps has a route table"
            )
        self.walk_app(routed, "", None)
        middleware = [getattr(entry, "cls", entry) for entry in getattr(routed, "user_middleware", [])]
        return {
            "framework": "fastapi" if self.is_fastapi(routed) else "starlette",
            "versions": {name: self.frame.version(name) for name in ("fastapi", "starlette", "pydantic")},
            "openapi_url": getattr(routed, "openapi_url", None),
            "routes": self.routes,
            "websockets": self.websockets,
            "mounts": self.mounts,
            "middleware": [self.frame.source(each) for each in wrappers + middleware],
            "schemas": self.schemas,
            "problems": self.problems,
        }

    def is_fastapi(self, app: Any) -> bool:
        return self.fastapi is not None and isinstance(app, self.fastapi.FastAPI)

    def walk_app(self, app: Any, prefix: str, host: str | None) -> None:
        """An app's own routes, with the OpenAPI document they belong to."""
        published = self.published(app)
        contexts = list(self.contexts(app.routes))
        for context in contexts:
            self.visit(context, prefix, host, published)
        for path, frontend in _frontends(getattr(app, "router", app)):
            self.add_mount(prefix + path, host, frontend)
        if self.is_fastapi(app):
            self.schemas.append({"prefix": prefix, "document": self.whole_schema(contexts)})

    def contexts(self, routes: Any) -> Iterator[Any]:
        """The routes, those of included routers with their prefix and inherited dependencies."""
        lister = getattr(self.fastapi_routing, "iter_route_contexts", None)
        for context in routes if lister is None else lister(routes):
            # Of what is no API route, some versions hold the prefixed copy here and do not show it outside.
            prefixed = getattr(getattr(context, "_route_context", None), "starlette_route", None)
            yield context if prefixed is None else prefixed

    def visit(self, context: Any, prefix: str, host: str | None, published: set[tuple[str, str]] | None) -> None:
        route = getattr(context, "original_route", context)
        if isinstance(route, self.starlette.Mount):
            self.visit_mounted(context.app, prefix + _plain(context.path), host)
        elif isinstance(route, getattr(self.starlette, "Host", ())):
            self.visit_mounted(context.app, prefix, context.host)
        elif isinstance(route, self.starlette.WebSocketRoute):
            self.websockets.append(self.described(context, prefix, host))
        elif isinstance(route, self.starlette.Route):
            self.add_route(context, prefix, host, published)
        else:
            self.add_mount(prefix + _plain(getattr(context, "path", None) or ""), host, route)

    def visit_mounted(self, app: Any, prefix: str, host: str | None) -> None:
        routed, _ = _routed(app)
        if routed is None:
            self.add_mount(prefix, host, app)
        else:
            self.walk_app(routed, prefix, host)

    def add_mount(self, path: str, host: str | None, app: Any) -> None:
        self.mounts.append({"path": path or "/", "host": host, "app": self.frame.source(app)})

    def add_route(self, context: Any, prefix: str, host: str | None, published: set[tuple[str, str]] | None) -> None:
        methods = sorted(context.methods or _class_methods(context.endpoint) or ["*"])
        path = _plain(context.path)
        if published is None:
            shown = bool(getattr(context, "include_in_schema", False)) and hasattr(context, "dependant")
        else:
            shown = any((path, method) in published for method in methods)
        described = self.described(context, prefix, host)
        described.update(
            methods=methods,
            in_openapi=shown,
            operation_id=getattr(context, "operation_id", None) or getattr(context, "unique_id", None),
        )
        self.routes.append(described)

    def described(self, context: Any, prefix: str, host: str | None) -> dict[str, Any]:
        path = prefix + _plain(context.path)
        dependant = getattr(context, "dependant", None)
        tree = [] if dependant is None else [self.dependency(each) for each in dependant.dependencies]
        needs = _own_security(dependant) if dependant is not None else []
        for each in tree:
            needs.extend(_security_below(each))
        return {
            "path": path,
            "host": host,
            "name": context.name,
            "endpoint": self.frame.source(context.endpoint),
            "path_params": PARAMETER.findall(prefix + context.path),
            "dependencies": tree,
            # Everything the tree asks for, together: one alternative.
            "security": [needs] if needs else [],
        }

    def dependency(self, dependant: Any) -> dict[str, Any]:
        """A dependency and what it depends on."""
        call = dependant.call
        return {
            "call": self.frame.source(call),
            "arguments": _arguments(call),
            "scopes": _scopes(dependant),
            "security": _own_security(dependant),
            "parameters": [_alias(field) for kind in _PARAMETERS for field in getattr(dependant, kind)],
            "dependencies": [self.dependency(each) for each in dependant.dependencies],
        }

    def published(self, app: Any) -> set[tuple[str, str]] | None:
        """(path, method) of what the app's own OpenAPI document shows; None when the app cannot make one."""
        if not self.is_fastapi(app):
            return set()
        try:
            paths = app.openapi().get("paths", {})
        except Exception as error:  # noqa: BLE001 the edge: custom documents and odd types fail in their own ways
            self.problems.append(self.frame.problem(error))
            return None
        return {(path, method.upper()) for path, operations in paths.items() for method in operations}

    def whole_schema(self, contexts: list[Any]) -> dict[str, Any] | None:
        """The OpenAPI document of all routes, hidden ones too (this process ends after the survey)."""
        api_routes = [
            context
            for context in contexts
            if isinstance(getattr(context, "original_route", context), self.fastapi_routing.APIRoute)
        ]
        for context in api_routes:
            effective = getattr(context, "_route_context", None) or getattr(context, "original_route", context)
            effective.include_in_schema = True
        try:
            make = importlib.import_module("fastapi.openapi.utils").get_openapi
            document: dict[str, Any] = make(title="survey", version="0", routes=api_routes)
        except Exception as error:  # noqa: BLE001 the edge: a hidden route may be hidden because it has no schema
            self.problems.append(self.frame.problem(error))
            return None
        return document


_PARAMETERS = ("path_params", "query_params", "header_params", "cookie_params", "body_params")


def _routed(app: Any, depth: int = DEEPEST_WRAPPING) -> tuple[Any, list[Any]]:
    """The first thing with a route table, going inward through middleware, and the middleware on the way."""
    if isinstance(getattr(app, "routes", None), (list, tuple)):
        return app, []
    for inner in _wrapped(app) if depth else []:
        routed, wrappers = _routed(inner, depth - 1)
        if routed is not None:
            return routed, [app, *wrappers]
    return None, []


def _wrapped(app: Any) -> list[Any]:
    """What a middleware object holds that could be the app inside."""
    slots = [name for kind in type(app).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [*getattr(app, "__dict__", {}).values(), *(getattr(app, name, None) for name in slots)]
    return [each for each in held if callable(each) and not inspect.isclass(each) and not inspect.isroutine(each)]


def _frontends(router: Any) -> Iterator[tuple[str, Any]]:
    """Static front ends, which recent FastAPI keeps apart from its routes."""
    lister = getattr(router, "_iter_low_priority_routes", None)
    for entry in lister() if lister is not None else []:
        group = getattr(entry, "original_route", entry)
        for route in getattr(group, "routes", []):
            yield getattr(entry, "frontend_prefix", "") + route.path, route.app


def _arguments(call: Any) -> dict[str, Any]:
    """What a made-up dependency was made with: the names a closure, an instance or a partial remembers."""
    remembered: dict[str, Any] = {}
    while isinstance(call, partial):
        remembered.update(call.keywords)
        remembered.update((str(place), value) for place, value in enumerate(call.args))
        call = call.func
    if inspect.isfunction(call):
        for name, cell in zip(call.__code__.co_freevars, call.__closure__ or ()):  # noqa: B905 (3.8)
            remembered[name] = getattr(cell, "cell_contents", None)
    elif not _is_scheme(call):
        remembered.update(getattr(call, "__dict__", {}) if not inspect.isclass(call) else {})
    readable = ((name, _readable(value)) for name, value in remembered.items() if not SECRET.search(name))
    return {name: value for name, value in readable if value is not None}


def _readable(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, (list, tuple, set, frozenset)):
        each = [_readable(one) for one in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
        return each if all(isinstance(one, (str, int)) for one in each) else None
    return value if isinstance(value, (str, int)) and len(str(value)) <= LONGEST_ARGUMENT else None


def _plain(path: str) -> str:
    return PARAMETER.sub(r"{\1}", path)


def _alias(field: Any) -> str:
    return str(getattr(field, "alias", None) or field.name)


def _class_methods(endpoint: Any) -> list[str]:
    if not inspect.isclass(endpoint):
        return []
    return [method for method in HTTP_METHODS if hasattr(endpoint, method.lower())]


def _scopes(dependant: Any) -> list[str]:
    # The attribute has had several names over the versions.
    found: list[str] = []
    for name in ("parent_oauth_scopes", "security_scopes", "own_oauth_scopes"):
        found.extend(getattr(dependant, name, None) or [])
    return list(dict.fromkeys(found))


def _own_security(dependant: Any) -> list[dict[str, Any]]:
    """The security schemes of this dependency itself."""
    schemes = [(need.security_scheme, need.scopes) for need in getattr(dependant, "security_requirements", None) or []]
    if not schemes and _is_scheme(dependant.call):
        schemes = [(dependant.call, _scopes(dependant))]
    return [
        {"scheme": str(scheme.scheme_name), "kind": type(scheme).__name__, "scopes": list(scopes or [])}
        for scheme, scopes in schemes
    ]


def _is_scheme(call: Any) -> bool:
    base = getattr(_optional("fastapi.security.base"), "SecurityBase", None)
    return base is not None and isinstance(call, base)


def _security_below(dependency: dict[str, Any]) -> list[dict[str, Any]]:
    needs = list(dependency["security"])
    for each in dependency["dependencies"]:
        needs.extend(_security_below(each))
    return needs
