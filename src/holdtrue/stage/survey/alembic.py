"""Walks an app's Alembic revisions in one process. Runs in the app's interpreter; see ``launch.py``.

Python 3.8 syntax, standard library only. The app's ``env.py`` runs unmodified for every command, as it does under the
``alembic`` command line. Commands are JSON objects: ``{"do": "revisions"}``, ``{"do": "current"}``,
``{"do": "upgrade", "revision": R}``, ``{"do": "downgrade", "revision": R}``, and ``{"do": "sql", "revision": "A:B"}``,
which renders the SQL of an upgrade without a database.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
import time
from pathlib import Path
from typing import Any

SKIPPED = {"node_modules", "site-packages", "__pycache__", "dist", "build"}


def run(frame: Any, arguments: list[str]) -> None:
    """Serve commands until the stage closes the channel."""
    config_file = _find(arguments[0] if arguments else None)
    # A relative script_location is relative to where people run alembic: beside its configuration.
    os.chdir(str(config_file.parent))
    if str(config_file.parent) not in sys.path:
        sys.path.insert(0, str(config_file.parent))
    driver = Driver(frame, config_file)
    frame.answer({"config": frame.relative(str(config_file)), "version": frame.version("alembic")})
    for request in frame.requests():
        started = time.perf_counter()
        try:
            answer = driver.obey(request)
        except BaseException as error:  # noqa: BLE001 the edge: a migration may raise anything, even SystemExit
            answer = {"error": frame.problem(error)}
            del error
        driver.let_go()
        answer["seconds"] = time.perf_counter() - started
        frame.answer(answer)


def _find(named: str | None) -> Path:
    """The configuration: the one named, else alembic.ini here or up to two directories below."""
    if named is not None:
        path = Path(named).resolve()
        if not path.is_file():
            raise FileNotFoundError(f"no Alembic configuration at {path}")
        return path
    here = Path.cwd()
    found = [path for pattern in ("", "*/", "*/*/") for path in sorted(here.glob(pattern + "alembic.ini"))]
    found = [path for path in found if not _hidden(path.relative_to(here).parts)]
    if not found and _has_toml_section(here / "pyproject.toml"):
        return here / "pyproject.toml"
    nearest = [path for path in found if len(path.parts) == len(found[0].parts)]
    if len(nearest) != 1:
        listed = ", ".join(str(path.relative_to(here)) for path in nearest) or "none"
        raise FileNotFoundError(f"which alembic.ini? found in {here}: {listed}; name one")
    return nearest[0]


def _hidden(parts: tuple[str, ...]) -> bool:
    return any(part in SKIPPED or part.startswith(".") or "venv" in part for part in parts)


def _has_toml_section(file: Path) -> bool:
    return file.is_file() and "[tool.alembic]" in file.read_text(encoding="utf-8")


class Driver:
    """Alembic's commands on one configuration."""

    def __init__(self, frame: Any, config_file: Path) -> None:
        self.frame = frame
        self.file = config_file
        self.command = importlib.import_module("alembic.command")
        self.config_type = importlib.import_module("alembic.config").Config
        self.script_type = importlib.import_module("alembic.script").ScriptDirectory
        self.environment = importlib.import_module("alembic.runtime.environment").EnvironmentContext

    def obey(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        do = request["do"]
        if do == "revisions":
            return self.revisions()
        if do == "current":
            return self.current()
        if do == "upgrade":
            self.command.upgrade(self.config(), request["revision"])
            return {}
        if do == "downgrade":
            self.command.downgrade(self.config(), request["revision"])
            return {}
        if do == "sql":
            buffer = io.StringIO()
            self.command.upgrade(self.config(buffer), request["revision"], sql=True)
            return {"sql": buffer.getvalue()}
        raise ValueError(f"unknown command: {do!r}")

    def config(self, output: Any = None) -> Any:
        # Made anew for each command, as the command line does: env.py may write into it.
        named = {"toml_file" if self.file.suffix == ".toml" else "file_": str(self.file)}
        if output is not None:
            named["output_buffer"] = output
        return self.config_type(**named)

    def revisions(self) -> dict[str, Any]:
        """Every revision, a revision after those it builds on."""
        script = self.script_type.from_config(self.config())
        newest_first = list(script.walk_revisions())
        return {
            "revisions": [self.described(each) for each in reversed(newest_first)],
            "heads": list(script.get_heads()),
            "bases": list(script.get_bases()),
        }

    def described(self, script: Any) -> dict[str, Any]:
        """One revision."""
        return {
            "revision": script.revision,
            "down_revisions": _tuple(script.down_revision),
            "depends_on": _tuple(script.dependencies),
            "branch_labels": sorted(script.branch_labels or ()),
            "file": self.frame.relative(script.path),
            "message": script.doc,
            "is_merge": bool(script.is_merge_point),
            "is_branch_point": bool(script.is_branch_point),
            "is_head": bool(script.is_head),
        }

    def current(self) -> dict[str, Any]:
        """The revisions the database stands at."""
        config = self.config()
        script = self.script_type.from_config(config)
        seen: list[str] = []

        def look(revision: Any, context: Any) -> list[Any]:
            seen.extend(revision)
            return []

        with self.environment(config, script, fn=look, dont_mutate=True):
            script.run_env()
        return {"current": seen}

    def let_go(self) -> None:
        """Leave no connection behind, as the end of the alembic command would: the stage clones the database next."""
        gc.collect()
        sqlalchemy_engine = sys.modules.get("sqlalchemy.engine")
        if sqlalchemy_engine is None:
            return
        for engine in gc.get_objects():
            if issubclass(type(engine), sqlalchemy_engine.Engine):
                # An asynchronous pool belongs to an event loop that is gone: its connections can only be forgotten.
                asynchronous = bool(getattr(engine.dialect, "is_async", False))
                engine.dispose(close=False) if asynchronous else engine.dispose()
        gc.collect()


def _tuple(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
