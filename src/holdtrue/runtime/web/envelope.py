"""What surrounds every request: an id, security headers, a bound on the body, and the wait for the right schema."""

from __future__ import annotations

import logging
import time
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdtrue.runtime.health import Health
from holdtrue.runtime.refusals import Unavailable
from holdtrue.runtime.web.problems import problem

log = logging.getLogger(__name__)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"cache-control", b"no-store"),
)
"""Unless the answer has its own."""


class Envelope:
    """The outermost layer. The body is read here, before a connection to the database is taken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid4())
        began = time.monotonic()
        status = 0
        scope.setdefault("state", {})["request_id"] = request_id

        async def decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message["headers"]
                names = {name.lower() for name, _ in given}
                ours = [(b"x-request-id", request_id.encode()), *(each for each in _HEADERS if each[0] not in names)]
                message["headers"] = [*given, *ours]
            await send(message)

        body = await self._bounded_body(receive, scope["app"].state.max_body)
        if body is None:
            await problem(413, "The body is too large.", "too_large")(scope, receive, decorated)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        try:
            await self._app(scope, replay, decorated)
        except Exception:  # the outer edge: what nobody foresaw becomes a bare 500
            log.exception("a request failed", extra={"request_id": request_id})
            if status:
                raise
            await problem(500, "Something went wrong on our side.", "internal")(scope, receive, decorated)
        finally:
            self._tell(scope, status, time.monotonic() - began, request_id)

    @staticmethod
    def _tell(scope: Scope, status: int, seconds: float, request_id: str) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        told = {"request_id": request_id, "method": scope["method"], "status": status, "seconds": round(seconds, 4)}
        route = scope.get("route")
        # The template and not the path: a path may hold a token.
        told["route"] = getattr(route, "path", "")
        if (unit := scope["state"].get("unit")) is not None:
            told["tenant"] = str(unit.context.tenant or "")
            told["principal"] = unit.context.principal.id
        log.info("answered", extra=told)

    @staticmethod
    async def _bounded_body(receive: Receive, most: int) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > most:
                return None
            if not message.get("more_body"):
                return bytes(body)


class SchemaGate:
    """503 on every route, rather than 500, while the database is at another revision than the code."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/health/") and not await self._good(scope):
            refusal = Unavailable("The database is not ready for this release.")
            await problem(503, refusal.detail, refusal.code, refusal.headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @staticmethod
    async def _good(scope: Scope) -> bool:
        health: Health = scope["app"].state.health
        return health.known_good or await health.admit()
