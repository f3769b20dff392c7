"""Decides how an app's environment is made, and from which files: so that the same recipe is built only once."""

import hashlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdtrue.stage.process.errors import AppEnvironmentError

_PYTHON_FILES = (
    *("requirements*.txt", "requirements*.in", "constraints*.txt", "requirements/*", "pyproject.toml", "setup.py"),
    *("setup.cfg", "poetry.lock", "uv.lock", "pdm.lock", "Pipfile", "Pipfile.lock"),
)
_NODE_FILES = (
    *("package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", ".npmrc", ".yarnrc*"),
)
_NODE_TOOLS = {"npm", "npx", "pnpm", "yarn", "node", "corepack"}
_INCLUDED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)", re.MULTILINE)

Kind = Literal["python", "node", "none"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to install: the words of the command (``{python}`` is the new interpreter), and the files that decide it."""

    kind: Kind
    command: tuple[str, ...]
    files: tuple[Path, ...]
    app: Path

    def digest(self, interpreter: str) -> str:
        """Names the environment: the same command, files and interpreter give the same name."""
        hashed = hashlib.sha256(json.dumps([self.kind, self.command, interpreter]).encode())
        for file in self.files:
            hashed.update(str(file.relative_to(self.app)).encode() + b"\0" + file.read_bytes() + b"\0")
        return f"{self.kind}-{hashed.hexdigest()[:24]}"

    @property
    def bound_to_sources(self) -> bool:
        """Whether node_modules would hold links into the app itself (workspaces, ``file:``), so cannot be shared."""
        manifest = self.app / "package.json"
        if self.kind != "node" or not manifest.exists():
            return False
        package = json.loads(manifest.read_text())
        versions = [*package.get("dependencies", {}).values(), *package.get("devDependencies", {}).values()]
        return "workspaces" in package or any(str(version).startswith(("file:", "link:")) for version in versions)


def find_recipe(app: Path, install: str | Sequence[str] | None) -> Recipe:
    """What ``install`` says (a requirement file, a manifest, a command); else guessed: requirements.txt, a project in
    pyproject.toml, package-lock.json, package.json, in this order; else nothing is installed.

    Raises ``AppEnvironmentError`` when ``install`` is empty.
    """
    if install is not None:
        words = shlex.split(install) if isinstance(install, str) else list(install)
        if not words:
            raise AppEnvironmentError(
                "`install` is empty",
                where="process.install",
                do="Name a requirement file or a command, or leave it out.",
            )
        if len(words) == 1 and (app / words[0]).is_file():
            return _of_file(app, words[0])
        return _recipe(app, "node" if Path(words[0]).name in _NODE_TOOLS else "python", words)
    for name in ("requirements.txt", "pyproject.toml", "package-lock.json", "package.json"):
        if (app / name).is_file() and (name != "pyproject.toml" or _is_project(app / name)):
            return _of_file(app, name)
    return _recipe(app, "none", [])


def _of_file(app: Path, name: str) -> Recipe:
    pip = ["{python}", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if name.endswith("package-lock.json"):
        return _recipe(app, "node", ["npm", "ci", "--no-audit", "--no-fund"])
    if name.endswith("package.json"):
        return _recipe(app, "node", ["npm", "install", "--no-audit", "--no-fund"])
    if name.endswith("pyproject.toml"):
        return _recipe(app, "python", [*pip, "."])
    return _recipe(app, "python", [*pip, "-r", name], app / name)


def _recipe(app: Path, kind: Kind, command: Sequence[str], named: Path | None = None) -> Recipe:
    patterns = {"python": _PYTHON_FILES, "node": _NODE_FILES, "none": ()}[kind]
    files = {path for pattern in patterns for path in app.glob(pattern) if path.is_file()}
    if named is not None:
        # What lies outside of the app is not in its copy either; pip will say so.
        files |= {path for path in _with_included(named, set()) if path.is_relative_to(app)}
    return Recipe(kind=kind, command=tuple(command), files=tuple(sorted(files)), app=app)


def _with_included(file: Path, seen: set[Path]) -> Iterator[Path]:
    """A requirement file and those that it includes (pip: -r and -c are relative to the file that has them)."""
    if file in seen or not file.is_file():
        return
    seen.add(file)
    yield file
    for match in _INCLUDED.finditer(file.read_text(errors="replace")):
        yield from _with_included((file.parent / match[1]).resolve(), seen)


def _is_project(file: Path) -> bool:
    """Whether a pyproject.toml describes something to install, and not only the settings of tools."""
    content = tomllib.loads(file.read_text())
    return "project" in content or "build-system" in content or "poetry" in content.get("tool", {})
