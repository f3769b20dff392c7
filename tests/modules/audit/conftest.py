"""Notes, recorded by the real audit module; everything else by the test's doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from tower.notes import NOTE_ADDED, NoteAdded, Notes

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.modules.audit import Audit
from holdtrue.runtime import Work


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


async def seen(work: Work, payload: NoteAdded) -> None:
    async with work.finish() as unit:
        unit.record("notes.seen", subject=str(payload.note_id))


@pytest.fixture
def assembly() -> Assembly:
    doors = replace(Doors(), recorder=None)
    return compose(Notes(), Audit(secrets=("iban",)), doors, bindings=[NOTE_ADDED.bind(seen)])


@pytest.fixture
async def kit(assembly: Assembly, postgres: Postgres) -> AsyncIterator[Kit]:
    async with running(assembly, postgres) as started:
        yield started
