"""The clock of the private server can be moved without moving anybody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdtrue.stage.database import Cluster


@pytest.fixture
def library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "libfaketime is not installed: ./dev test --system installs it where apt-get can"
    return str(found[0])


@pytest.mark.parametrize("offset", ["+40d", "-400d"])
async def test_the_database_s_time_is_moved_as_far_as_asked(library: str, offset: str) -> None:
    environment = {"LD_PRELOAD": library, "FAKETIME": offset}
    async with Cluster.embedded(environment=environment) as cluster, await cluster.admin() as connection:
        row = await (await connection.execute("SELECT clock_timestamp(), now() - interval '1 day'")).fetchone()
    assert row is not None
    moved = row[0] - datetime.now(UTC)
    assert abs(moved - timedelta(days=int(offset[:-1]))) < timedelta(hours=1)
