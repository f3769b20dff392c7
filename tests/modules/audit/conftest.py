"""Notes, recorded by the real audit module; everything else by the test's doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from tower.notes import Notes

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.modules.audit import Audit


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
def assembly() -> Assembly:
    return compose(Notes(), Audit(secrets=("iban",)), replace(Doors(), recorder=None))


@pytest.fixture
async def kit(assembly: Assembly, postgres: Postgres) -> AsyncIterator[Kit]:
    async with running(assembly, postgres) as started:
        yield started
