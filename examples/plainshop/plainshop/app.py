from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI

from plainshop import errors
from plainshop.db import Database
from plainshop.middleware import Envelope, SchemaGate
from plainshop.readiness import Readiness
from plainshop.routes import routers
from plainshop.settings import Settings
from plainshop.stripe_api import StripeApi
from plainshop.tokens import Tokens


def create_app(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.health_threads = anyio.CapacityLimiter(1)
        try:
            # A database that cannot be reached, or a role that may too much, ends the process here.
            await anyio.to_thread.run_sync(readiness.refuse_powerful_role)
            yield
        finally:
            database.close()
            own.close()

    app = FastAPI(title="plainshop", lifespan=lifespan, docs_url=None, redoc_url=None)
    database = Database(settings)
    own = Database(settings, pool_size=2)
    readiness = Readiness(own)
    app.state.settings = settings
    app.state.database = database
    app.state.readiness = readiness
    app.state.tokens = Tokens(settings)
    app.state.stripe = StripeApi(settings)
    for router in routers:
        app.include_router(router)
    errors.install(app)
    app.add_middleware(SchemaGate, readiness=readiness)
    app.add_middleware(Envelope)
    return app
