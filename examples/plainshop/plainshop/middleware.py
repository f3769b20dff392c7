"""What surrounds every request: an id, security headers, a bound on the body, and the wait for the right schema."""

import logging
from uuid import uuid4

import anyio
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plainshop.errors import Unavailable, problem
from plainshop.readiness import Readiness

log = logging.getLogger(__name__)
MAX_BODY = 1024 * 1024
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Cache-Control": "no-store",
}


class Envelope:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        body = await self._bounded_body(receive)
        if body is None:
            await problem(413, "The body is too large.")(scope, receive, decorated)
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await decorated(message)

        try:
            await self._app(scope, replay, watched)
        except Exception:  # the outer edge: what nobody foresaw becomes a bare 500
            log.exception("request %s failed", request_id)
            if started:
                raise
            await problem(500, "Something went wrong on our side.")(scope, receive, decorated)

    @staticmethod
    async def _bounded_body(receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                return None
            if not message.get("more_body"):
                return bytes(body)


class SchemaGate:
    """503 on every route, rather than 500, while the database is unmigrated or at another revision."""

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app = app
        self._readiness = readiness
        self._threads: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gated = scope["type"] == "http" and not scope["path"].startswith("/health/")
        if gated and not self._readiness.known_good:
            self._threads = self._threads or anyio.CapacityLimiter(1)
            if not await anyio.to_thread.run_sync(self._readiness.admit, limiter=self._threads):
                refusal = Unavailable("The database is not ready for this release.")
                await problem(503, refusal.detail, refusal.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)
