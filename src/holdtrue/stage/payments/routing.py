"""From method and path to a handler."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from holdtrue.stage.payments.store import Resource

Handler = Callable[..., Resource]
"""`handler(books, params, *ids of the path)` answers the object, in its newest shape."""


@dataclass(frozen=True)
class Route:
    """One operation of the API: `{name}` in the path stands for one segment."""

    method: str
    path: str
    handler: Handler


class Router:
    """Finds the route of a request; fixed segments win over placeholders."""

    def __init__(self, routes: Iterable[Route]) -> None:
        ordered = sorted(routes, key=lambda route: route.path.count("{"))
        self._routes = [(route, re.compile(re.sub(r"\{\w+\}", "([^/]+)", route.path) + r"\Z")) for route in ordered]

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """The route and the ids in the path, or None."""
        for route, pattern in self._routes:
            match = pattern.match(path)
            if match is not None and route.method == method:
                return route, tuple(unquote(part) for part in match.groups())
        return None
