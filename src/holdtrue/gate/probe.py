"""Reads an app's revisions and renders their SQL, without a database. Runs as a file, by the app's own interpreter.

Python 3.8 syntax; standard library, and the Alembic that the app has. ``env.py`` is not run: many refuse offline mode,
and whatever it configures beyond the dialect does not change what a revision's SQL says.

Standard input: ``{"alembic": "alembic.ini", "known": ["0001"]}`` or ``{"assembly": "shop.main:assembly", ...}``. The
answer is written to the file named on the command line, so that whatever the app prints does no harm.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

ROLE = '"app"'


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    here = Path.cwd()
    sys.path.insert(0, str(here))
    contracts = {}
    if "assembly" in asked:
        module, _, name = asked["assembly"].partition(":")
        assembly = getattr(importlib.import_module(module), name or "assembly")
        contracts = {each.name: each.promise.as_json() for each in assembly.modules}
        config, scripts = assembly.migrations._config, assembly.migrations._script
        config.attributes.update(app_role=ROLE, worker_role=ROLE)
    else:
        config = configuration(here / asked["alembic"])
        scripts = importlib.import_module("alembic.script").ScriptDirectory.from_config(config)
    revisions = list(reversed(list(scripts.walk_revisions("base", "heads"))))
    answer = {
        "revisions": [described(each, here) for each in revisions],
        "contracts": contracts,
        "rendered": {
            each.revision: rendered(config, scripts, each) for each in revisions if each.revision not in asked["known"]
        },
    }
    Path(sys.argv[1]).write_text(json.dumps(answer), encoding="utf-8")


def configuration(file: Path) -> Any:
    """Alembic's configuration, read from where its relative paths start."""
    if not file.is_file():
        raise SystemExit(f"there is no Alembic configuration {file}")
    os.chdir(str(file.parent))
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    named = {"toml_file" if file.suffix == ".toml" else "file_": str(file)}
    return importlib.import_module("alembic.config").Config(**named)


def described(script: Any, here: Path) -> dict[str, Any]:
    """One revision: its name, what must be applied before it, and its file."""
    path = Path(script.path).resolve()
    inside = here.resolve() in path.parents
    return {
        "revision": script.revision,
        "after": sorted({*tuples(script.down_revision), *tuples(script._all_down_revisions)}),
        "file": path.relative_to(here.resolve()).as_posix() if inside else "",
    }


def rendered(config: Any, scripts: Any, script: Any) -> dict[str, str]:
    """The SQL of a revision's upgrade, or why there is none without a database."""
    environment = importlib.import_module("alembic.runtime.environment").EnvironmentContext
    operations = importlib.import_module("alembic.operations").Operations
    buffer = io.StringIO()
    try:
        with environment(config, scripts, as_sql=True) as env:
            env.configure(dialect_name="postgresql", output_buffer=buffer, literal_binds=True)
            env.get_bind().connection = Raw(buffer)
            with operations.context(env.get_context()):
                script.module.upgrade()
    except Exception as error:  # noqa: BLE001 - the edge: a revision may raise anything, and the plan says so
        return {"sql": "", "unreadable": f"{type(error).__name__}: {error}"}
    return {"sql": "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).strip(), "unreadable": ""}


class Raw:
    """A driver's connection and cursor for revisions that run SQL past SQLAlchemy: it is written down as it is."""

    def __init__(self, buffer: io.StringIO) -> None:
        self.buffer = buffer

    def cursor(self) -> Raw:
        """Itself."""
        return self

    def execute(self, sql: str) -> None:
        """Write a statement down; one that asks for an answer gets none, and the revision is unreadable then."""
        self.buffer.write(sql.strip().rstrip(";") + ";\n\n")


def tuples(value: Any) -> tuple[str, ...]:
    """What Alembic writes as nothing, a text or a sequence."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


if __name__ == "__main__":
    main()
