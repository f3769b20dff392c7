"""Routes as data: each with the decision who may call it, next to its handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from holdtrue.contract import Access, Call, Route
from holdtrue.runtime.unit import UnitOfWork

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A route and its handler."""

    route: Route
    function: Callable[..., Any]
    status: int
    options: dict[str, Any]
    """What FastAPI's ``add_api_route`` takes besides: ``response_model``, ``responses``, ``include_in_schema``."""


class Router:
    """Collects the routes of a module. A handler's parameters are declared as FastAPI reads them."""

    def __init__(self, *, prefix: str = "", tags: tuple[str, ...] = ()) -> None:
        self.prefix = prefix
        self.tags = tags
        self.endpoints: list[Endpoint] = []

    def route(
        self, method: str, path: str, *, access: Access, status: int = 200, rehearse: Call | None = None, **options: Any
    ) -> Callable[[F], F]:
        """Declare a route. Access: a ``Permission``, ``public("why")``, ``signature("who")`` or ``signed_in()``."""

        def keep(function: F) -> F:
            declared = Route(method=method, path=self.prefix + path, access=access, rehearse=rehearse)
            options.setdefault("tags", list(self.tags))
            self.endpoints.append(Endpoint(route=declared, function=function, status=status, options=options))
            return function

        return keep

    def get(self, path: str, *, access: Access, rehearse: Call | None = None, **options: Any) -> Callable[[F], F]:
        """``GET``."""
        return self.route("GET", path, access=access, rehearse=rehearse, **options)

    def post(self, path: str, *, access: Access, rehearse: Call | None = None, **options: Any) -> Callable[[F], F]:
        """``POST``."""
        return self.route("POST", path, access=access, rehearse=rehearse, **options)

    def put(self, path: str, *, access: Access, rehearse: Call | None = None, **options: Any) -> Callable[[F], F]:
        """``PUT``."""
        return self.route("PUT", path, access=access, rehearse=rehearse, **options)

    def patch(self, path: str, *, access: Access, rehearse: Call | None = None, **options: Any) -> Callable[[F], F]:
        """``PATCH``."""
        return self.route("PATCH", path, access=access, rehearse=rehearse, **options)

    def delete(
        self, path: str, *, access: Access, status: int = 204, rehearse: Call | None = None, **options: Any
    ) -> Callable[[F], F]:
        """``DELETE``."""
        return self.route("DELETE", path, access=access, status=status, rehearse=rehearse, **options)


async def _unit(request: Request) -> UnitOfWork:
    unit: UnitOfWork = request.state.unit
    return unit


async def _raw_body(request: Request) -> bytes:
    return await request.body()


Unit = Annotated[UnitOfWork, Depends(_unit)]
"""The request's unit of work: guarded, in the tenant of the caller, committed before the response is sent."""
RawBody = Annotated[bytes, Depends(_raw_body)]
"""The bytes as they came: a signature is over them and nothing else."""
