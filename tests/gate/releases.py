"""A small app with migrations, keys of a human, of the pipeline and of an agent, and the gate's commands on it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdtrue.cli.main import app as command_line
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.report import Coverage, Reached, Report, Result, Summary
from holdtrue.contract.words import Outcome, Place, Verdict
from holdtrue.gate import held, state
from holdtrue.gate.canonical import canonical, digest, loads

DOCUMENT = """\
[app]
name = "pets"

[process]
start = "{python} serve.py {port}"
env = { DATABASE_URL = "{postgres_url}" }
migrate_env = { MIGRATION_DATABASE_URL = "{postgres_owner_url}" }

[permissions]
"pets.read" = "see pets"

[principals.owner]
permissions = ["pets.read"]
steps = [{ request = "POST /homes", capture = { home_id = "id" } }]

[routes]
"POST /homes" = { public = "sign-up" }
"GET /pets" = { permission = "pets.read" }

[tenancy]
tenant = "home_id"
tables = { pets = "home_id" }
"""
MIGRATIONS = """\

[migrations]
tool = "alembic"
"""
ENV = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ["MIGRATION_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """\
from alembic import op

revision, down_revision, branch_labels, depends_on = "{name}", {after!r}, None, None


def upgrade():
    {upgrade}


def downgrade():
    pass
"""


@dataclass
class World:
    """An app's directory beside its keys; databases by the names of their variables."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def plan_file(self) -> Path:
        return self.app / "holdtrue.plan.json"

    @property
    def admission_file(self) -> Path:
        return self.app / "holdtrue.admission.json"

    def key(self, name: str) -> Path:
        """Somebody's private key."""
        file = self.root / name
        if not file.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
        return file

    def signers(self, *humans: str) -> str:
        """The text of a signers file: these humans approve, the pipeline admits."""
        lines = [f'{name}@example.test namespaces="holdtrue-plan" {self._public(name)}' for name in humans]
        lines.append(f'pipeline namespaces="holdtrue-admission" {self._public("pipeline")}')
        return "\n".join(lines) + "\n"

    def _public(self, name: str) -> str:
        return self.key(name).with_suffix(".pub").read_text(encoding="utf-8").strip()

    def write(self, name: str, text: str) -> None:
        """Write a file of the app."""
        (self.app / name).parent.mkdir(parents=True, exist_ok=True)
        (self.app / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of the app."""
        text = (self.app / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def revision(self, name: str, after: str | None, upgrade: str) -> None:
        """Add a migration."""
        if not (self.app / "alembic.ini").exists():
            self.write("holdtrue.toml", (self.app / "holdtrue.toml").read_text(encoding="utf-8") + MIGRATIONS)
            self.write("alembic.ini", "[alembic]\nscript_location = %(here)s/alembic\npath_separator = os\n")
            self.write("alembic/env.py", ENV)
        self.write(f"alembic/versions/{name}.py", REVISION.format(name=name, after=after, upgrade=upgrade))

    # -- commands ---------------------------------------------------------------------------------------------------

    def run(self, *words: object) -> str:
        """Run a command in this process; what it says. A refusal is raised as it is."""
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            with redirect_stdout(out):
                command_line([str(each) for each in words], standalone_mode=False)
        return out.getvalue()

    def plan(self, *words: object) -> str:
        return self.run("plan", self.app, *words)

    def approve(self, who: str = "ana") -> str:
        return self.run("approve", self.plan_file, "--key", self.key(who))

    def admit(self, who: str = "pipeline") -> str:
        return self.run("admit", self.plan_file, "--key", self.key(who))

    def apply(self, *words: object) -> str:
        return self.run("apply", self.admission_file, *words)

    def apply_first(self) -> str:
        """The first apply, by somebody who vouches for the signers."""
        return self.apply("--first-signers", digest((self.app / "allowed_signers").read_text(encoding="utf-8")))

    def release(self, *words: object) -> None:
        """Everything up to an admission, as it should be."""
        self.plan(*words)
        self.approve()
        self.check()
        self.admit()

    def process(self, *words: object, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Run a command in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "holdtrue.cli.main", *map(str, words)],
            env={**os.environ, **self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Leave no process behind, whatever failed."""
        for process in self.started:
            process.kill()
            process.communicate()

    # -- what a check leaves ----------------------------------------------------------------------------------------

    def check(self, *outcomes: Outcome, narrowed: str = "", name: str = "20260101T000000-000000") -> Path:
        """Leave the report of a check of what is there now."""
        results = [
            Result(code=f"AUTH{number:03}", place=Place.AUTH, title="", outcome=outcome)
            for number, outcome in enumerate(outcomes or (Outcome.KEPT,), 1)
        ]
        verdict = Verdict.BROKEN if Outcome.BROKEN in outcomes else Verdict.HELD
        report = Report(
            app="pets",
            outcome=verdict,
            narrowed=narrowed,
            summary=Summary(kept=1),
            coverage=Coverage(routes=Reached(total=2, reached=2)),
            results=results,
            seed=7,
            seconds=1.0,
        )
        run = self.app / ".holdtrue" / "runs" / name
        run.mkdir(parents=True, exist_ok=True)
        (run / "report.json").write_text(report.model_dump_json(by_alias=True), encoding="utf-8")
        subject = state.source_and_document(self.app)
        held.bind(run, subject, subject)
        return run

    # -- databases --------------------------------------------------------------------------------------------------

    def sql(self, query: str, role: str = "MIGRATION_DATABASE_URL") -> list[Any]:
        """Ask the database as one of its roles."""
        with psycopg.connect(self.environ[role], autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


def refused(code: str, action: Callable[[], object]) -> str:
    """Expect a refusal with this code; what it says."""
    with pytest.raises(HoldtrueError) as caught:
        action()
    assert getattr(caught.value, "code", "none") == code, str(caught.value)
    return str(caught.value)


def rewrite(file: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit one of the gate's papers as somebody would who knows how its digest is made."""
    paper = loads(file.read_bytes())
    change(paper[name])
    paper["digest"] = digest(paper[name])
    file.write_bytes(canonical(paper))
