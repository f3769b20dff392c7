"""Builds the ASGI app from what assembly found to fit together."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from holdtrue.contract import public
from holdtrue.runtime import logs
from holdtrue.runtime.context import Clock, utc_now
from holdtrue.runtime.health import WORKER_SILENT_SECONDS
from holdtrue.runtime.process import Blueprint
from holdtrue.runtime.web import problems
from holdtrue.runtime.web.envelope import Envelope, SchemaGate
from holdtrue.runtime.web.guard import GuardedRoute
from holdtrue.runtime.web.router import Endpoint, Router

HEALTH = Router(prefix="/health", tags=("health",))


@HEALTH.get("/live", access=public("liveness probe"))
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@HEALTH.get("/ready", access=public("readiness probe"))
async def ready(request: Request) -> JSONResponse:
    """Whether this process can serve. A silent worker is told and does not take the app out of service."""
    health = request.app.state.health
    if trouble := await health.trouble():
        return problems.problem(503, trouble, "unavailable", {"Retry-After": "5"})
    silence = await health.worker_silence()
    heard = silence is not None and silence < WORKER_SILENT_SECONDS
    return JSONResponse({"status": "ready", "worker": "heard of" if heard else "silent"})


def build_app(blueprint: Blueprint, environ: Mapping[str, str], *, clock: Clock = utc_now) -> FastAPI:
    """The app. The environment is read, and everything opened, when the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        logs.configure()
        async with blueprint.open(environ, clock=clock) as process:
            app.state.process = process
            app.state.services = process.services
            app.state.health = process.health
            app.state.max_body = process.settings.max_body_bytes
            # What was made until here lasts; else every full collection walks through it while all requests wait.
            gc.freeze()
            try:
                yield
            finally:
                gc.unfreeze()

    app = FastAPI(title=blueprint.title, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    for endpoint in (*HEALTH.endpoints, *blueprint.endpoints):
        _mount(app, endpoint)
    problems.install(app)
    app.add_middleware(SchemaGate)
    app.add_middleware(Envelope)
    return app


def _mount(app: FastAPI, endpoint: Endpoint) -> None:
    app.router.add_api_route(
        endpoint.route.path,
        endpoint.function,
        methods=[endpoint.route.method],
        status_code=endpoint.status,
        route_class_override=GuardedRoute.of(endpoint.route.access),
        **endpoint.options,
    )
