"""An app's Alembic revisions, read off their files: what Alembic itself would say, without an interpreter of the app's.

Source: Alembic's tutorial, "Editing the .ini File" and "Working with Branches".
"""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdtrue.contract.document import Document
from holdtrue.stage.survey.facts import Revision
from holdtrue.stage.survey.sources import PythonFile, Sources

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}
_OPTIONS = (
    *("script_location", "version_locations", "path_separator", "version_path_separator"),
    "recursive_version_locations",
)
_ASIDE = frozenset(("test", "tests", "testing", "fixtures", "examples", "docs", "templates"))
"""Directories with revisions that no deploy runs."""
_UNKNOWN = object()


@dataclass(frozen=True, kw_only=True)
class Scripts:
    """What the files say."""

    revisions: tuple[Revision, ...]
    """In the order of their paths; two may have one name."""
    lines: Mapping[str, int]
    """File → the line of its ``down_revision``."""
    environment: str | None = None
    """The ``env.py`` that every Alembic command runs."""
    unread: tuple[str, ...] = ()
    """What could not be read; then a revision that seems to be missing may be there all the same."""


def migration_scripts(sources: Sources, document: Document) -> Scripts | None:
    """The revisions of an app; None where none of its files is an Alembic configuration or a revision.

    An app whose document says ``tool = "command"`` may use Alembic under another command: its files are found by what
    they say, outside of tests.
    """
    told = document.migrations
    if told is not None and told.tool != "alembic":
        files = [
            file
            for file in sources.mentioning("down_revision")
            if "upgrade" in _functions(file) and _ASIDE.isdisjoint(file.path.split("/")[:-1])
        ]
        return _scripts(files, None, []) if files else None
    config = sources.directory / (told.config if told is not None else "alembic.ini")
    if not config.is_file():
        config = sources.directory / "pyproject.toml"
    return _configured(sources, config) if config.is_file() else None


def _configured(sources: Sources, config: Path) -> Scripts | None:
    try:
        options = _options(config)
    except (ConfigError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return Scripts(revisions=(), lines={}, unread=(f"{config.name}: {type(error).__name__}",))
    if "script_location" not in options:
        return None
    unread: list[str] = []
    home = _place(sources, config, str(options["script_location"]))
    if home is None:
        unread.append(f"script_location {options['script_location']!r} is not in the app's directory")
    places = []
    for named in _version_locations(options):
        place = _place(sources, config, named)
        if place is None:
            unread.append(f"version location {named!r} is not in the app's directory")
        else:
            places.append(place)
    if "version_locations" not in options and home is not None:
        places = [home / "versions"]
    pattern = "**/*.py" if str(options.get("recursive_version_locations", "")).lower() == "true" else "*.py"
    paths = [path for place in places for path in sorted(place.glob(pattern)) if not path.name.startswith("__init__")]
    files = []
    for path in dict.fromkeys(filter(None, map(sources.relative, paths))):
        if (file := sources.python(path)) is None:
            unread.append(f"{path} cannot be parsed")
        else:
            files.append(file)
    return _scripts(files, sources.relative(home / "env.py") if home is not None else None, unread)


def _options(config: Path) -> dict[str, Any]:
    """What stands under ``[alembic]``, or in pyproject.toml under ``[tool.alembic]``."""
    here = str(config.parent.resolve())
    if config.suffix == ".toml":
        section = tomllib.loads(config.read_text(encoding="utf-8")).get("tool", {}).get("alembic", {})
        return {key: _here(value, here) for key, value in section.items()}
    parser = ConfigParser({"here": here.replace("%", "%%")})
    parser.read_string(config.read_text(encoding="utf-8"), source=config.name)
    if not parser.has_section("alembic"):
        return {}
    return {name: parser.get("alembic", name) for name in _OPTIONS if parser.has_option("alembic", name)}


def _here(value: Any, here: str) -> Any:
    if isinstance(value, list):
        return [_here(each, here) for each in value]
    return value.replace("%(here)s", here) if isinstance(value, str) else value


def _version_locations(options: Mapping[str, Any]) -> list[str]:
    told = options.get("version_locations", "")
    if isinstance(told, list):
        return [str(each) for each in told]
    separator = options.get("path_separator") or options.get("version_path_separator")
    parts = re.split(r", *|\s+", told) if separator is None else told.split(_SEPARATORS.get(separator, os.pathsep))
    return [part.strip() for part in parts if part.strip()]


def _place(sources: Sources, config: Path, named: str) -> Path | None:
    """A directory as Alembic finds it: by path, or as ``package:path``."""
    relative = named.replace(".", "/").replace(":", "/") if ":" in named else named
    for beside in (config.parent, sources.directory, sources.directory / "src"):
        place = beside / relative
        if place.is_dir() and sources.relative(place) is not None:
            return place
    return None


def _scripts(files: list[PythonFile], environment: str | None, unread: list[str]) -> Scripts:
    revisions, lines = [], {}
    for file in files:
        said = _assigned(file.tree)
        read = {name: _resolved(said.get(name), said) for name in ("revision", "down_revision", "branch_labels")}
        depends_on = _resolved(said.get("depends_on"), said)
        if not isinstance(read["revision"], str) or read["down_revision"] is _UNKNOWN or "down_revision" not in said:
            unread.append(f"{file.path} does not say its `revision` and `down_revision` as plain text")
            continue
        lines[file.path] = said["down_revision"].lineno
        revisions.append(
            Revision(
                revision=read["revision"],
                down_revisions=_texts(read["down_revision"]),
                depends_on=_texts(depends_on),
                branch_labels=_texts(read["branch_labels"]),
                file=file.path,
                message=(ast.get_docstring(file.tree) or "").partition("\n")[0] or None,
            )
        )
    return Scripts(revisions=tuple(revisions), lines=lines, environment=environment, unread=tuple(unread))


def _functions(file: PythonFile) -> set[str]:
    return {node.name for node in file.tree.body if isinstance(node, ast.FunctionDef)}


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Module-level name → what it was given last."""
    return {name: value for node in tree.body for name, value in _names(node)}


def _names(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _paired(target, node.value)


def _paired(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for name, each in zip(target.elts, value.elts, strict=True):
            yield from _paired(name, each)


def _resolved(node: ast.expr | None, said: Mapping[str, ast.expr], depth: int = 3) -> Any:
    """A text, None, or a tuple of texts; `_UNKNOWN` for what only running it would tell."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id in said and depth:
        return _resolved(said[node.id], said, depth - 1)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = [_resolved(each, said, depth) for each in node.elts]
        return tuple(parts) if all(isinstance(part, str) for part in parts) else _UNKNOWN
    return _UNKNOWN


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else ()
