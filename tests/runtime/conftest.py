"""One server for all tests of the runtime; each test has a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tower.notes import Notes

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
def assembly() -> Assembly:
    return compose(Notes(), Doors())


@pytest.fixture
async def kit(assembly: Assembly, postgres: Postgres) -> AsyncIterator[Kit]:
    async with running(assembly, postgres) as started:
        yield started
