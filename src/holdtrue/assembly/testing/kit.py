"""A composed app, running in the process of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row

from holdtrue.assembly.compose import Assembly
from holdtrue.assembly.testing.postgres import Postgres, Urls
from holdtrue.runtime.context import SYSTEM, Clock, Context, Principal, utc_now, uuid7
from holdtrue.runtime.process import Process
from holdtrue.runtime.unit import UnitOfWork
from holdtrue.runtime.web.app import build_app
from holdtrue.runtime.worker import Worker

T = TypeVar("T")
_HURRY = "UPDATE holdtrue_{} SET due_at = now() WHERE state IN ('queued', 'unknown') AND due_at IS NOT NULL"


class Kit:
    """What a test holds on to."""

    def __init__(self, client: httpx.AsyncClient, process: Process, worker: Worker, urls: Urls) -> None:
        self.client = client
        """Speaks to the app over ASGI."""
        self.process = process
        self.worker = worker
        self.urls = urls

    async def work(self, *, hurry: bool = False) -> int:
        """Do all work that is due, until none is; with ``hurry`` also what waits for its next attempt, once."""
        if hurry:
            for box in ("outbox", "inbox"):
                await self.sql(_HURRY.format(box))
        return await self.worker.drain()

    def unit(self, *, tenant: UUID | None = None, principal: Principal = SYSTEM) -> UnitOfWork:
        """A unit of work of the test's own; use it as ``async with``."""
        context = Context(
            principal=principal, tenant=tenant, request_id=f"test-{uuid7()}", clock=self.process.services.clock
        )
        return self.process.services.unit(context)

    def port(self, kind: type[T]) -> T:
        """A module's ports or settings."""
        return self.process.services.port(kind)

    async def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Run SQL as superuser, past row-level security; ``%s`` stands for a value."""
        async with await psycopg.AsyncConnection.connect(
            self.urls.superuser, autocommit=True, row_factory=dict_row
        ) as connection:
            cursor = await connection.execute(statement.encode(), values or None)
            return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def running(
    assembly: Assembly,
    postgres: Postgres,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock = utc_now,
    base_url: str = "https://app.test",
) -> AsyncIterator[Kit]:
    """Start the app and a worker on a database of their own. The worker works when ``kit.work()`` says so."""
    urls = postgres.migrated(assembly.migrations)
    told = {
        "DATABASE_URL": urls.app,
        "WORKER_DATABASE_URL": urls.worker,
        "HOLDTRUE_POOL_SIZE": "5",
        "HOLDTRUE_BACKOFF_SECONDS": "10000",  # a next attempt comes when a test hurries it, and never by chance
    } | dict(environ or {})
    app = build_app(assembly.blueprint, told, clock=clock)
    try:
        async with (
            app.router.lifespan_context(app),
            assembly.blueprint.open(told, role="worker", clock=clock) as working,
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url) as client,
        ):
            yield Kit(client, app.state.process, Worker(working), urls)
    finally:
        postgres.drop(urls)
