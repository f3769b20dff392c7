"""The app's own interpreter and dependencies: built once per recipe, kept in the person's cache, shared by checks."""

import asyncio
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from holdtrue.stage.cache import cache_directory
from holdtrue.stage.process.errors import AppEnvironmentError
from holdtrue.stage.process.launch import Completed, run
from holdtrue.stage.process.recipe import Recipe, find_recipe
from holdtrue.stage.process.tools import base_interpreter, find_node, installer_environment

Tell = Callable[[str], None]

_INSPECT = Path(__file__).with_name("inspect_environment.py")
_MARKER = "holdtrue-environment.json"
_LOCK_PAUSE = 0.1


@dataclass(frozen=True, kw_only=True)
class AppEnvironment:
    """What the app runs with.

    ``variables`` (PATH and the like) belong into the environment of each of its processes, above the allow-listed ones.
    ``directory`` is the cached place, None when an existing interpreter is used; ``built`` tells whether it was made
    just now.
    """

    python: Path | None
    variables: dict[str, str]
    directory: Path | None
    built: bool


async def prepare_environment(
    copy: Path,
    *,
    origin: Path,
    install: str | Sequence[str] | None = None,
    python: str | Path | None = None,
    cache: Path | None = None,
    base_python: Path | None = None,
    patience: float = 900.0,
    tell: Tell = lambda _: None,
) -> AppEnvironment:
    """Finds or builds the environment of the app in ``copy``; ``origin`` is the directory it was copied from.

    ``python`` names an interpreter that has everything (relative to ``origin``, or a name on PATH): used as it is.
    Otherwise ``install`` (see ``find_recipe``) is run once per command, requirement and lock files and interpreter, in
    ``cache``; two checks at once wait for each other, a failed build leaves nothing. ``patience`` is in seconds, for
    each of its commands. node_modules is linked into the copy, so what an app writes there is shared between checks.

    Raises ``AppEnvironmentError`` with the installer's last lines and what to do.
    """
    copy, origin = _settled(copy), _settled(origin)
    if python is not None:
        return await _given(copy, origin, python)
    recipe = find_recipe(copy, install)
    if recipe.kind == "none":
        return AppEnvironment(python=None, variables={}, directory=None, built=False)
    places = (cache or cache_directory()) / "environments"
    builder = _Builder(recipe, places, base_python or base_interpreter(), patience, tell)
    return await (builder.python() if recipe.kind == "python" else builder.node())


async def _given(copy: Path, origin: Path, python: str | Path) -> AppEnvironment:
    found = _find(python, origin)
    roots = await _inspect(found, origin, strip=False)
    return _with_python(found, copy, roots, directory=None, built=False)


def _settled(path: Path) -> Path:
    return path.resolve()


def _find(python: str | Path, origin: Path) -> Path:
    beside = origin / python  # not resolved: a virtual environment's python is a link, and must stay one
    # Only a bare name is looked for on PATH: with a slash, ``which`` would search below our own working directory.
    found = str(beside) if beside.is_file() else shutil.which(python) if Path(python).name == str(python) else None
    if found is None:
        raise AppEnvironmentError(
            f"there is no interpreter {python}",
            where=f"process.python, looked for as {beside} and on PATH",
            why="The app is started with it.",
            do="Name an interpreter that has the app's requirements, or leave it out to have one built.",
        )
    return Path(found)


def _with_python(python: Path, copy: Path, roots: list[str], *, directory: Path | None, built: bool) -> AppEnvironment:
    path = f"{python.parent}:{os.environ.get('PATH', os.defpath)}"
    # Unbuffered, so that the last words of a killed process are in its log.
    variables = {"PATH": path, "PYTHONUNBUFFERED": "1"}
    if directory is not None:
        variables["VIRTUAL_ENV"] = str(directory)
    if roots:
        variables["PYTHONPATH"] = ":".join(str(copy / root) for root in roots)
    return AppEnvironment(python=python, variables=variables, directory=directory, built=built)


async def _ask(command: Sequence[str], cwd: Path) -> Completed:
    """A short question to an interpreter."""
    with tempfile.TemporaryDirectory(prefix="holdtrue-") as scratch:
        log, environment = Path(scratch, "log"), installer_environment()
        return await run(command, cwd=cwd, env=environment, log_path=log, patience=60.0, name="the interpreter")


async def _inspect(python: Path, root: Path, *, strip: bool) -> list[str]:
    done = await _ask([str(python), "-I", str(_INSPECT), str(root), *(["strip"] if strip else [])], root)
    if done.returncode != 0:
        raise AppEnvironmentError(
            f"the app's interpreter does not work:\n{done.output}",
            where=str(python),
            why="The app is started with it.",
            do="Give a Python 3.8 or later that runs on this machine.",
        )
    roots: list[str] = json.loads(done.output.splitlines()[-1])["roots"]
    return roots


class _Builder:
    """Builds one recipe at its final place, under a lock: virtual environments cannot be moved once they are made."""

    def __init__(self, recipe: Recipe, places: Path, base: Path, patience: float, tell: Tell) -> None:
        self.recipe = recipe
        self.places = places
        self.base = base
        self.patience = patience
        self.tell = tell

    async def python(self) -> AppEnvironment:
        version = await _ask([str(self.base), "-c", "import sys; print(sys.version, sys.platform)"], self.recipe.app)
        place = self.places / self.recipe.digest(version.output)
        python = place / "bin" / "python"
        async with self._locked(place) as complete:
            if not complete:
                self.tell(f"building the app's environment: {' '.join(self.recipe.command)}")
                await self._step([str(self.base), "-m", "venv", str(place)], place)
                variables = {"VIRTUAL_ENV": str(place), "UV_PROJECT_ENVIRONMENT": str(place)}
                command = [word.replace("{python}", str(python)) for word in self.recipe.command]
                await self._step(command, place, cwd=self.recipe.app, bin=place / "bin", **variables)
                roots = await _inspect(python, self.recipe.app, strip=True)
                _complete(place, {"roots": roots})
        marker = json.loads((place / _MARKER).read_text())
        return _with_python(python, self.recipe.app, marker["roots"], directory=place, built=not complete)

    async def node(self) -> AppEnvironment:
        tools = find_node()
        version = await _ask([str(tools.node), "--version"], self.recipe.app)
        place = self.places / self.recipe.digest(version.output)
        words = self.recipe.command
        command = [*tools.npm, *words[1:]] if words[0] == "npm" else list(words)
        modules = self.recipe.app / "node_modules"
        variables = {"PATH": f"{modules / '.bin'}:{tools.node.parent}:{os.environ.get('PATH', os.defpath)}"}
        environment = AppEnvironment(python=None, variables=variables, directory=None, built=True)
        if self.recipe.bound_to_sources:
            self.tell(f"installing into the copy, as the app links to its own packages: {' '.join(words)}")
            await self._step(command, self.recipe.app, cwd=self.recipe.app, bin=tools.node.parent)
            return environment
        async with self._locked(place) as complete:
            if not complete:
                self.tell(f"building the app's environment: {' '.join(words)}")
                place.mkdir(parents=True)
                for file in self.recipe.files:
                    shutil.copy2(file, place / file.name)
                await self._step(command, place, cwd=place, bin=tools.node.parent)
                _complete(place, {})
        (place / "node_modules").mkdir(exist_ok=True)  # npm makes none for an app without dependencies
        modules.symlink_to(place / "node_modules")
        return replace(environment, directory=place, built=not complete)

    async def _step(self, command: list[str], place: Path, *, cwd: Path | None = None, **more: str | Path) -> None:
        environment = installer_environment()
        if folder := more.pop("bin", None):
            environment["PATH"] = f"{folder}:{environment.get('PATH', os.defpath)}"
        environment |= {name: str(value) for name, value in more.items()}
        done = await run(
            command,
            cwd=cwd or place.parent,
            env=environment,
            log_path=_log_of(place),
            patience=self.patience,
            name="the installation",
            sealed=False,
        )
        if done.returncode != 0:
            tail = "\n".join(f"    {line}" for line in done.output.splitlines()[-20:])
            raise AppEnvironmentError(
                f"`{' '.join(command)}` ended with code {done.returncode}; its last lines:\n{tail}",
                where=str(self.recipe.app),
                why="Without its dependencies the app does not start.",
                do="Correct the requirements, name another command in process.install, or give process.python an "
                "interpreter that already has them.",
            )

    @asynccontextmanager
    async def _locked(self, place: Path) -> AsyncIterator[bool]:
        """Holds the place for ourselves; yields whether it is complete. What is not complete in the end is removed.

        The lock file stays: to remove it would let a third check lock a file that nobody else sees any more.
        """
        self.places.mkdir(parents=True, exist_ok=True)
        with place.with_name(f"{place.name}.lock").open("w") as lock:
            await self._acquire(lock.fileno())
            complete = (place / _MARKER).exists()
            if not complete:
                shutil.rmtree(place, ignore_errors=True)  # the remains of a build that was killed
            try:
                yield complete
            finally:
                _log_of(place).unlink(missing_ok=True)
                if not (place / _MARKER).exists():
                    shutil.rmtree(place, ignore_errors=True)

    async def _acquire(self, descriptor: int) -> None:
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    self.tell("waiting for another check that builds the same environment")
                    told = True
                await asyncio.sleep(_LOCK_PAUSE)
            else:
                return


def _log_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.log")


def _complete(place: Path, content: dict[str, list[str]]) -> None:
    """Written last, and at once: where it is, the environment is whole."""
    unfinished = place / f"{_MARKER}.new"
    unfinished.write_text(json.dumps(content))
    unfinished.rename(place / _MARKER)
