"""What a release is made of: what can be read without running any of it, and what only its interpreter knows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from holdtrue.contract import digest as contract_digest
from holdtrue.contract.document import Document
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.lock import LOCK_NAME, Bound, Pinned, Runtime
from holdtrue.contract.project import read_project
from holdtrue.contract.reader import Loaded, read
from holdtrue.contract.template import render
from holdtrue.gate import files
from holdtrue.gate.canonical import digest

SIGNERS = "allowed_signers"
_INHERITED = re.compile(r"PATH|LANG|LC_[A-Z_]+|TZ|TMPDIR|VIRTUAL_ENV")
_PROBE = Path(__file__).with_name("probe.py")
_MOVING = re.compile(r"(^|/)[^/]*migrat[^/]*(/|$)|\.sql$", re.IGNORECASE)


class Model(BaseModel):
    """A part of the gate's papers."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def as_json(self) -> Any:
        """JSON values, all of them."""
        return self.model_dump(mode="json", by_alias=True)


class Revision(Model):
    """One step of the schema."""

    revision: str
    after: list[str] = []
    """What must have been applied before it."""
    file: str = ""
    """Below the app's directory; empty where it comes with an installed package."""
    digest: str


class Rendered(Model):
    """What a revision does to the database."""

    sql: str = ""
    unreadable: str = ""
    """Why there is no SQL without a database."""


class Told(Model):
    """What only the app's interpreter could say."""

    revisions: list[Revision] = []
    contracts: dict[str, Any] = {}
    """A composed app's modules and what they promise."""
    rendered: dict[str, Rendered] = {}
    """Revision → its SQL, where it was not admitted before."""


class State(Model):
    """Everything that a release decides."""

    app: str
    document: dict[str, Any]
    """The contract document, without what has its default."""
    files: dict[str, str]
    """Path → SHA-256."""
    signers_file: str
    signers: str
    """The text of the signers file: public keys."""
    revisions: list[Revision] = []
    moving_files: dict[str, str] = {}
    """Files that look like migrations, of an app whose tool cannot be asked for its revisions."""
    contracts: dict[str, Any] = {}
    modules: dict[str, Pinned] = {}
    bindings: list[Bound] = []
    ports: dict[str, str] = {}
    """Port of the runtime → the function that fills it."""
    runtime: Runtime | None = None

    @property
    def parsed(self) -> Document:
        """The document."""
        return Document.model_validate(self.document, by_alias=True, by_name=False)

    @property
    def digests(self) -> dict[str, str]:
        """What an approval is bound to, by name."""
        return {
            "document": digest(self.document),
            "source": digest(self.files),
            "signers": digest(self.signers),
            "migrations": digest([each.as_json() for each in self.revisions] or self.moving_files),
            "modules": digest({name: each.model_dump(mode="json") for name, each in self.modules.items()}),
        }


def load(directory: Path) -> Loaded:
    """Read the document with all of its waivers: a plan must not change at midnight because one expires."""
    return read(directory, today=date.min)


def source_and_document(directory: Path) -> dict[str, str]:
    """The two digests that a check's report belongs to."""
    return {"source": digest(files.digests(directory)), "document": digest(_document(load(directory)))}


def look(directory: Path, signers_file: str, told: Told) -> State:
    """What is there now. Runs nothing of the app; ``told`` is what its interpreter said.

    Raises:
        UsageError: there are no signers, or what was told does not fit the files.
    """
    loaded = load(directory)
    found = files.digests(directory)
    if signers_file not in found:
        raise UsageError(
            f"there is no signers file {signers_file}",
            where=str(directory),
            why="It says whose signature counts as an approval.",
            do=f'Commit one: echo "you@example.com $(cat ~/.ssh/id_ed25519.pub)" > {signers_file}',
        )
    lock = loaded.lock
    moving = loaded.document.migrations is not None and loaded.document.migrations.tool == "command" and lock is None
    return State(
        app=loaded.document.app.name,
        document=_document(loaded),
        files=found,
        signers_file=signers_file,
        signers=(directory / signers_file).read_text(encoding="utf-8"),
        revisions=[_pinned(each, found, lock.revisions if lock else {}) for each in told.revisions],
        moving_files={path: each for path, each in found.items() if moving and _MOVING.search(path)},
        contracts=_contracts(told, lock.modules if lock else {}),
        modules=lock.modules if lock else {},
        bindings=lock.bindings if lock else [],
        ports=lock.ports if lock else {},
        runtime=lock.runtime if lock else None,
    )


def _document(loaded: Loaded) -> dict[str, Any]:
    document: dict[str, Any] = loaded.document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return document


def _pinned(revision: Revision, found: Mapping[str, str], locked: Mapping[str, str]) -> Revision:
    now = locked.get(revision.revision) or found.get(revision.file)
    if now is None:
        raise UsageError(
            f"the revision {revision.revision} is neither in the app's directory nor in its {LOCK_NAME}",
            why="Its content could change after the approval.",
            do="Keep migrations with the app, or run `holdtrue lock` again.",
        )
    return revision.model_copy(update={"digest": now})


def _contracts(told: Told, modules: Mapping[str, Pinned]) -> dict[str, Any]:
    """What the modules promise, as far as it is what the lock pins."""
    for name, pinned in modules.items():
        if name not in told.contracts or contract_digest(told.contracts[name]) != pinned.digest:
            raise UsageError(
                f"the contract of {name} is not the one that {LOCK_NAME} pins",
                do="Run `holdtrue lock`, look at what it changes, and plan again.",
            )
    return {name: told.contracts[name] for name in modules}


# -- the app's interpreter --------------------------------------------------------------------------------------------


async def ask(directory: Path, *, known: Iterable[str], python: str | None) -> Told:
    """Let the app's interpreter read its revisions. This runs the app's code, with a bare environment.

    Raises:
        UsageError: it cannot.
    """
    loaded = load(directory)
    document, lock = loaded.document, loaded.lock
    if lock is not None:
        question: dict[str, Any] = {"assembly": lock.assembly}
    elif document.migrations is not None and document.migrations.tool == "alembic":
        question = {"alembic": document.migrations.config}
    else:
        return Told()
    answer = await _run(
        interpreter(directory, document, python), directory, question | {"known": sorted(known)}, _environment(document)
    )
    revisions = [Revision(**each, digest="") for each in answer["revisions"]]
    return Told(revisions=revisions, contracts=answer["contracts"], rendered=answer["rendered"])


def interpreter(directory: Path, document: Document, named: str | None) -> str:
    """The app's interpreter: the one named, else the document's or the project's, else the one that runs holdtrue."""
    if named is not None:
        return named
    told = document.process.python or read_project(directory).python
    # Not resolved further: a virtual environment's python is a link.
    return sys.executable if told is None else str(directory.resolve() / told)


def _environment(document: Document) -> dict[str, str]:
    """The document's environment with names and addresses behind which there is nothing, the same on each machine."""
    values = dict.fromkeys(("postgres_user", "postgres_database"), "app")
    values |= dict.fromkeys(("postgres_host", "smtp_host"), "127.0.0.1")
    values |= dict.fromkeys(("postgres_port", "smtp_port", "port"), "9")
    values |= dict.fromkeys(("postgres_url", "postgres_owner_url"), "postgresql://app:none@127.0.0.1:9/app")
    values |= dict.fromkeys(("postgres_password", "stripe_key", "stripe_webhook_secret"), "none")
    values["stripe_url"] = "https://127.0.0.1:9"
    inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    told = document.process.env | document.process.migrate_env
    secrets = {f"secret:{name}": "0" * 64 for text in told.values() for name in re.findall(r"\{secret:(\w+)\}", text)}
    return (
        inherited
        | {"PYTHONDONTWRITEBYTECODE": "1"}
        | {name: render(text, values | secrets) for name, text in told.items()}
    )


async def _run(python: str, directory: Path, question: Any, environment: Mapping[str, str]) -> Any:
    with tempfile.TemporaryDirectory(prefix="holdtrue-gate-") as scratch:
        answer = Path(scratch, "answer.json")
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, str(_PROBE), str(answer)),
                cwd=directory,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise UsageError(f"the app's interpreter does not start: {error.strerror}", where=python) from None
        _, err = await process.communicate(json.dumps(question).encode())
        told = _answered(answer)
        if process.returncode != 0 or told is None:
            tail = "\n".join(f"    {line}" for line in err.decode(errors="replace").strip().splitlines()[-6:])
            raise HoldtrueError(
                f"the app's interpreter cannot read its migrations:\n{tail}",
                where=str(directory),
                do="Mend what the last line says, or name the interpreter with the app's requirements: --python PATH",
            )
        return told


def _answered(file: Path) -> Any:
    """None where the probe was ended before it could write."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
