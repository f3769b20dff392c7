"""One scratch PostgreSQL for all tests of the stage."""

from collections.abc import AsyncIterator

import pytest_asyncio

from holdtrue.stage.database.cluster import Cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster.embedded() as cluster:
        yield cluster
