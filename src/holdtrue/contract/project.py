"""What a composed app says about itself in ``pyproject.toml``, below ``[tool.holdtrue]``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from holdtrue.contract.document import Waiver
from holdtrue.contract.errors import UsageError

PROJECT_NAME = "pyproject.toml"


class Project(BaseModel):
    """Where the app is composed, and what it runs with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    assembly: str | None = None
    """Where ``compose(…)`` put its result: ``shop.main:assembly``."""
    python: str | None = None
    """The app's interpreter, such as ``.venv/bin/python``; the one that runs holdtrue when absent."""
    waivers: list[Waiver] = []
    """A derived document has none: they are what somebody decides."""


def read_project(directory: Path) -> Project:
    """Read ``[tool.holdtrue]`` of a directory; all empty where there is none.

    Raises:
        UsageError: it cannot be read, or has keys that nobody knows.
    """
    file = directory / PROJECT_NAME
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Project()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file)) from None
    try:
        return Project.model_validate(values.get("tool", {}).get("holdtrue", {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"[tool.holdtrue] {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=str(file),
            do=f"Known are: {', '.join(Project.model_fields)}.",
        ) from None
