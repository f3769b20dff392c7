"""What stands around every handler: who calls, for whom, may they; then the commit, and only then the response."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from holdtrue.contract import Access, Permission, SignedIn
from holdtrue.runtime.context import Context
from holdtrue.runtime.ports import Credentials
from holdtrue.runtime.refusals import Forbidden, Unauthorized
from holdtrue.runtime.registry import Registry
from holdtrue.runtime.unit import Services, UnitOfWork

Handle = Callable[[Request], Coroutine[Any, Any, Response]]
_ANOTHER: tuple[Match, Scope] = (Match.NONE, {})


class GuardedRoute(APIRoute):
    """A route that answers after its unit of work committed; a response that cannot be made rolls it back."""

    access: Access

    def __init__(self, path: str, *arguments: Any, **options: Any) -> None:
        super().__init__(path, *arguments, **options)
        self._literal = path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route; most are for another one, which need not take a regular expression."""
        return super().matches(scope) if self._literal in scope["path"] else _ANOTHER

    @classmethod
    def of(cls, access: Access) -> type[GuardedRoute]:
        """The class of routes with this decision."""
        return type("GuardedRoute", (cls,), {"access": access})

    def get_route_handler(self) -> Handle:
        handle, access = super().get_route_handler(), self.access

        async def guarded(request: Request) -> Response:
            services: Services = request.app.state.services
            async with services.unit(_context(request, services)) as unit:
                request.state.unit = unit
                unit.credentials = Credentials(headers=request.headers, cookies=request.cookies, host=unit.context.host)
                await admit(services.registry, unit, access)
                response = await handle(request)
                await unit.commit()
            return response

        return guarded


def _context(request: Request, services: Services) -> Context:
    return Context(
        request_id=request.state.request_id,
        clock=services.clock,
        host=_host(request.headers.get("host", "")),
        address=request.client.host if request.client else "",
    )


def _host(header: str) -> str:
    """The host without its port (RFC 9110, 7.2); an IPv6 address keeps its brackets."""
    return (header if header.endswith("]") else header.rsplit(":", 1)[0]).lower()


async def admit(registry: Registry, unit: UnitOfWork, access: Access) -> None:
    """Let the request through, or refuse it. A denial inside a tenant is kept in its audit log.

    Raises:
        Unauthorized: nobody is signed in.
        Forbidden: the principal is in no tenant here, or lacks the permission.
    """
    if not isinstance(access, Permission | SignedIn):
        return
    principal = await registry.authenticator(unit, unit.credentials) if registry.authenticator else None
    if principal is None:
        raise Unauthorized
    unit.identify(principal)
    if isinstance(access, SignedIn):
        return
    held = await unit.standing(principal) or frozenset()
    unit.identify(replace(principal, permissions=held))
    if access.name not in held:
        unit.record("access.denied", subject=access.name, denied=True)
        raise Forbidden(f"This needs the permission {access.name}.", keep=True)
