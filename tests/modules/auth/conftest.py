"""One server for all tests of auth; each test has a database and a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from modules.auth.house import ENVIRON, FakeClock, House, Town

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Postgres, running
from holdtrue.modules.auth import Auth


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture(scope="session")
def assembly() -> Assembly:
    return compose(House(), Auth())


@pytest.fixture
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    return ENVIRON | getattr(request, "param", {})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
async def town(
    assembly: Assembly, postgres: Postgres, environ: dict[str, str], clock: FakeClock
) -> AsyncIterator[Town]:
    async with running(assembly, postgres, environ=environ, clock=clock) as kit:
        yield Town(kit=kit, clock=clock)
