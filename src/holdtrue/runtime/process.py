"""What a process of the app is made of, and its opening: settings, then the database's refusals, then the ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import MetaData

from holdtrue.runtime import models
from holdtrue.runtime.context import Clock, utc_now
from holdtrue.runtime.database import Database
from holdtrue.runtime.health import Health
from holdtrue.runtime.migrating import Migrations
from holdtrue.runtime.registry import Registry
from holdtrue.runtime.settings import ModuleSettings, RuntimeSettings, load
from holdtrue.runtime.unit import Services
from holdtrue.runtime.web.router import Endpoint


@dataclass(frozen=True, kw_only=True)
class Process:
    """An opened process."""

    services: Services
    health: Health
    settings: RuntimeSettings
    database_url: str


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What assembly hands to a process; describing one has no side effects."""

    title: str
    registry: Registry
    endpoints: tuple[Endpoint, ...]
    migrations: Migrations
    metadata: tuple[MetaData, ...]
    settings: tuple[type[ModuleSettings], ...]
    opens: tuple[tuple[type[ModuleSettings] | None, Callable[[Any], AbstractAsyncContextManager[Any]]], ...]

    @asynccontextmanager
    async def open(
        self, environ: Mapping[str, str], *, role: Literal["app", "worker"] = "app", clock: Clock = utc_now
    ) -> AsyncIterator[Process]:
        """Open everything that a process needs.

        Raises:
            Faults: settings are missing, unknown, wrong or weak.
            Fault: ROLE_TOO_POWERFUL.
        """
        loaded = load((RuntimeSettings, *self.settings), environ)
        settings: RuntimeSettings = loaded[RuntimeSettings]
        url = (role == "worker" and settings.worker_database_url) or settings.database_url
        async with AsyncExitStack() as stack:
            database = _database(stack, url.get_secret_value(), settings, settings.pool_size)
            own = _database(stack, url.get_secret_value(), settings, 2)
            health = Health(own, self.migrations, (models.metadata, *self.metadata))
            await health.refuse_powerful_role()
            ports = dict(loaded)
            for kind, opening in self.opens:
                opened = await stack.enter_async_context(opening(loaded[kind] if kind else None))
                ports[type(opened)] = opened
            services = Services(registry=self.registry, database=database, ports=ports, clock=clock)
            yield Process(services=services, health=health, settings=settings, database_url=url.get_secret_value())


def _database(stack: AsyncExitStack, url: str, settings: RuntimeSettings, pool_size: int) -> Database:
    database = Database(
        url, pool_size=pool_size, statement_seconds=settings.statement_seconds, prepare=settings.prepare
    )
    stack.push_async_callback(database.close)
    return database
