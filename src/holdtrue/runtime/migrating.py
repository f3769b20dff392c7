"""Alembic with one branch for each module, one run at a time, and no environment file of the app's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.engine import make_url

from holdtrue.runtime.database import psycopg_url
from holdtrue.runtime.faults import Fault
from holdtrue.runtime.revisions import quoted

RUNTIME = Path(__file__).parent / "migrations"
RUN_LOCK = 0x686F6C6474727565  # "holdtrue"


class Migrations:
    """The revisions of the runtime and of every composed module, in one order."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._config = Config()
        self._config.set_main_option("script_location", str(RUNTIME))
        self._config.set_main_option("path_separator", "newline")
        self._config.set_main_option("version_locations", "\n".join(map(str, (RUNTIME, *folders))))
        self._script = ScriptDirectory.from_config(self._config)

    @property
    def order(self) -> tuple[Script, ...]:
        """Every revision, each after all that it needs."""
        return tuple(reversed(list(self._script.walk_revisions("base", "heads"))))

    @property
    def heads(self) -> frozenset[str]:
        """What ``alembic_version`` holds when the schema is that of the code.

        A head that another branch depends on is implied by it, and Alembic keeps no row for it.
        """
        heads = set(self._script.get_heads())
        return frozenset(head for head in heads if not any(head in self._implied(other) for other in heads - {head}))

    def applied(self, versions: Sequence[str]) -> frozenset[str]:
        """All revisions that these rows of ``alembic_version`` stand for; unknown ones are left out."""
        known = [version for version in versions if self.knows(version)]
        return frozenset(known).union(*(self._implied(version) for version in known))

    def knows(self, revision: str) -> bool:
        """Whether the code has it."""
        return any(each.revision == revision for each in self.order)

    def _implied(self, revision: str) -> frozenset[str]:
        found: set[str] = set()
        pending = [revision]
        while pending:
            script = self._script.get_revision(pending.pop())
            needed = {each for each in script._all_down_revisions if each not in found}
            found |= needed
            pending += needed
        return frozenset(found)

    def upgrade(
        self, owner_url: str, app_url: str, *, worker_url: str | None = None, steps: int | None = None
    ) -> list[str]:
        """Apply what is missing, or only so many revisions of it. Returns what was applied.

        Raises:
            Fault: SCHEMA_AHEAD, the database has revisions that the code does not.
        """
        with self._run(owner_url, app_url, worker_url) as (connection, versions):
            self._refuse_strangers(versions)
            done = self.applied(versions)
            missing = [each.revision for each in self.order if each.revision not in done][:steps]
            for revision in missing:
                self._move(connection, lambda rev, _, to=revision: self._script._upgrade_revs(to, rev))
            return missing

    def downgrade(
        self, owner_url: str, app_url: str, *, worker_url: str | None = None, steps: int | None = 1
    ) -> list[str]:
        """Undo the newest revisions, one after the other; ``None``: all. Returns what was undone."""
        with self._run(owner_url, app_url, worker_url) as (connection, versions):
            self._refuse_strangers(versions)
            done = self.applied(versions)
            present = [each for each in reversed(self.order) if each.revision in done][:steps]
            for script in present:
                target = script.down_revision or f"{script.revision}@base"
                self._move(connection, lambda rev, _, to=target: self._script._downgrade_revs(to, rev))
            return [each.revision for each in present]

    def versions(self, owner_url: str) -> tuple[str, ...]:
        """The rows of ``alembic_version``."""
        with _engine(owner_url).connect() as connection:
            return MigrationContext.configure(connection).get_current_heads()

    def _refuse_strangers(self, versions: Sequence[str]) -> None:
        strangers = [version for version in versions if not self.knows(version)]
        if strangers:
            raise Fault(
                "SCHEMA_AHEAD",
                f"the database is at {', '.join(strangers)}, which this code does not have",
                why="An older release would migrate a newer database.",
                do="Deploy the release that has these revisions.",
            )

    def _move(self, connection: Connection, step: Callable[..., Any]) -> None:
        with EnvironmentContext(self._config, self._script, fn=step) as environment:
            environment.configure(connection=connection, transaction_per_migration=True)
            with environment.begin_transaction():
                environment.run_migrations()

    @contextmanager
    def _run(self, owner_url: str, app_url: str, worker_url: str | None) -> Iterator[tuple[Connection, Sequence[str]]]:
        owner, app = make_url(psycopg_url(owner_url)), make_url(psycopg_url(app_url))
        if owner.username == app.username:
            raise Fault(
                "OWNER_IS_APP",
                f"DATABASE_OWNER_URL and DATABASE_URL name one role, {owner.username!r}",
                why="A role that owns the tables is past their row-level security by one ALTER TABLE.",
                do="Create a second role: CREATE ROLE app LOGIN NOSUPERUSER NOBYPASSRLS.",
            )
        worker = make_url(psycopg_url(worker_url)) if worker_url else app
        self._config.attributes["app_role"] = quoted(app.username or "")
        self._config.attributes["worker_role"] = quoted(worker.username or "")
        with _engine(owner_url).connect() as connection:
            # A lock of the session, so that it also holds between revisions, and dies with a killed run.
            connection.execute(text("SET lock_timeout = '10min'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": RUN_LOCK})
            connection.execute(text("SET lock_timeout = '5s'"))
            connection.commit()
            versions = MigrationContext.configure(connection).get_current_heads()
            connection.commit()
            yield connection, versions


def _engine(url: str) -> Any:
    return create_engine(psycopg_url(url), poolclass=pool.NullPool, hide_parameters=True)
