"""``migrate --steps``: one process that takes one revision up or down for each line it reads."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from holdtrue.runtime.migrating import Migrations

Move = Callable[[], list[str]]
"""Takes one revision at most; returns what it took."""


def own_output() -> TextIO:
    """Standard output, kept for answers: what the app prints goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(migrations: Migrations, up: Move, down: Move, lines: Iterable[str], answers: TextIO) -> None:
    """Do what each line says until there are no more (`contract.document.Migrations.steps`). A step that fails is told
    of, and the next line is heard.
    """
    for line in lines:
        try:
            answer = _obey(migrations, up, down, json.loads(line))
        except Exception as error:  # noqa: BLE001  the edge: a revision is anybody's code
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(f"{json.dumps(answer)}\n")


def _obey(migrations: Migrations, up: Move, down: Move, asked: Mapping[str, Any]) -> dict[str, Any]:
    match asked.get("do"):
        case "revisions":
            return {"revisions": [each.revision for each in migrations.order]}
        case "up" | "down" as direction:
            return {"moved": next(iter((up if direction == "up" else down)()), None)}
        case other:
            return {"error": f"unknown command: {other!r}"}
