"""One server for all tests of tenancy; each test has a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from modules.tenancy.world import ENVIRON, HOME, PAPER_REVISION, ROLES, World, believe, paper_module

from holdtrue.assembly import Assembly, compose
from holdtrue.assembly.testing import Doors, Postgres, running
from holdtrue.modules.tenancy import Tenancy
from holdtrue.runtime import Module


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Module:
    folder = tmp_path_factory.mktemp("paper")
    (folder / "paper_0001_papers.py").write_text(PAPER_REVISION)
    return paper_module(folder)


@pytest.fixture(scope="session")
def doors() -> Module:
    return replace(Doors(), tenants=None, authenticator=believe)


@pytest.fixture(scope="session")
def assembly(paper: Module, doors: Module) -> Assembly:
    return compose(paper, Tenancy(roles=ROLES), doors)


@pytest.fixture
async def world(assembly: Assembly, postgres: Postgres) -> AsyncIterator[World]:
    async with running(assembly, postgres, environ=ENVIRON, base_url=f"https://{HOME}") as kit:
        yield World(kit=kit)
