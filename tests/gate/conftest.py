"""A small app, and databases to deploy it to. What many tests begin with is made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gate.releases import DOCUMENT, World

from holdtrue.assembly.testing import Postgres

Applied = tuple[Path, str]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of two humans, of the pipeline and of an agent."""
    root = tmp_path_factory.mktemp("keys")
    for name in ("ana", "bob", "pipeline", "agent"):
        World(root).key(name)
    return root


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> Iterator[World]:
    """An app without a database, whose plan needs nothing of its interpreter."""
    world = new_world(tmp_path, keys)
    yield world
    world.end()


def new_world(root: Path, keys: Path) -> World:
    for key in keys.iterdir():
        shutil.copy2(key, root)
    world = World(root)
    world.write("holdtrue.toml", DOCUMENT)
    world.write("serve.py", "print('served')\n")
    world.write("allowed_signers", world.signers("ana"))
    return world


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
def deployed(world: World, postgres: Postgres) -> World:
    """The same with a database, on which nothing was applied yet."""
    return on_database(world, postgres, "template0")


@pytest.fixture(scope="session")
def first_release(tmp_path_factory: pytest.TempPathFactory, keys: Path, postgres: Postgres) -> Applied:
    """A release that was applied, and the database that it was applied to."""
    urls = postgres.create()
    world = new_world(tmp_path_factory.mktemp("first"), keys)
    world.environ = {"MIGRATION_DATABASE_URL": urls.owner, "DATABASE_URL": urls.app}
    world.release("--first")
    world.apply_first()
    return world.root, urlsplit(urls.app).path.strip("/")


@pytest.fixture
def applied(first_release: Applied, tmp_path: Path, postgres: Postgres) -> Iterator[World]:
    """A release of its own that was applied to a database of its own."""
    root, template = first_release
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    world = on_database(World(tmp_path), postgres, template)
    yield world
    world.end()


def on_database(world: World, postgres: Postgres, template: str) -> World:
    """Databases go with the server."""
    urls = postgres.create(template)
    world.environ = {"MIGRATION_DATABASE_URL": urls.owner, "DATABASE_URL": urls.app, "SUPERUSER_URL": urls.superuser}
    return world
