"""Which commands are forked, and what is remembered from one check to the next."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from holdtrue.contract.document import App, Document, Process
from holdtrue.stage.process import run
from holdtrue.stage.setting import Setting
from holdtrue.stage.zygotes import Zygotes

Prepare = Callable[..., AsyncExitStack]
WORKER = "import email.mime.text, signal; print('ready'); signal.pause()"


@pytest.fixture
async def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., object]]:
    """Prepares a setting; the person's cache is a directory of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    app = tmp_path / "app"
    app.mkdir()
    (app / "worker.py").write_text(WORKER)
    async with AsyncExitStack() as stack:

        async def setting(worker: str | list[str], python: Path = Path(sys.executable)) -> Setting:
            document = Document.model_validate(
                {"schema": 1, "app": App(name="tiny"), "process": Process(start="{python} -m web", worker=worker)}
            )
            return await stack.enter_async_context(
                Setting.prepare(
                    document, app, seed=1, logs=tmp_path / "logs", keep=False, python=str(python), tell=lambda _: None
                )
            )

        yield setting


def noted(zygotes: Zygotes, command: str) -> Path:
    return Path(zygotes.environment(command)["HOLDTRUE_STAGE_IMPORTS"])


async def test_a_command_is_forked_once_it_is_known_what_it_imports_and_in_the_next_check_at_once(
    prepare: Callable[..., object],
) -> None:
    command = "{python} -m worker"
    setting = await prepare(command)
    assert setting.zygotes.of(command) is None
    noted(setting.zygotes, command).write_text("email\nemail.mime\n")
    assert setting.zygotes.of(command) is setting.zygotes.of(command) is not None
    await setting.zygotes.__aexit__(None, None, None)
    async with Zygotes(setting) as later:
        assert later.of(command) is not None
        assert later.of("{python} -m other") is None


@pytest.mark.parametrize(
    ("command", "other", "alike"),
    [
        ("{python} -m worker", "{python} -m worker reconcile --days {days}", True),
        ("{python} worker.py", ["{python}", "worker.py", "once"], True),
        ("{python} -m worker", "{python} -m other", False),
        ("{python} -X dev -m worker", "{python} -X dev -m other", False),
    ],
)
async def test_one_zygote_serves_all_commands_that_run_the_same_program(
    prepare: Callable[..., object], command: str, other: str | list[str], alike: bool
) -> None:
    setting = await prepare(command)
    noted(setting.zygotes, command).write_text("email\n")
    zygote = setting.zygotes.of(command)
    assert zygote is not None
    assert (setting.zygotes.of(other) is zygote) is alike


@pytest.mark.parametrize(
    ("worker", "command"),
    [
        ("{python} -m worker", ["-m", "worker", "reconcile", "--days", "{7}"]),
        ("{python} worker.py run --fast", ["worker.py", "reconcile"]),
        ("{python} -u -m worker run --fast", ["-u", "-m", "worker", "run", "--fast"]),
        ("{python} -u worker.py run", ["-u", "worker.py", "run"]),
    ],
)
async def test_a_forked_command_has_its_own_arguments_and_its_output_and_code_are_told(
    prepare: Callable[..., object], tmp_path: Path, worker: str, command: list[str]
) -> None:
    setting = await prepare(worker)
    said = "import sys; print(sys.argv[1:], sys.orig_argv[1:], 'email' in sys.modules); sys.exit(3)"
    (setting.copy / "worker.py").write_text(said)
    noted(setting.zygotes, worker).write_text("email\n")
    done = await run(
        [str(setting.python), *command],
        cwd=setting.copy,
        env={},
        log_path=tmp_path / "log",
        patience=30,
        mother=setting.zygotes.of(worker),
    )
    arguments = command[command.index("worker" if "worker" in command else "worker.py") + 1 :]
    assert (done.output.strip(), done.returncode) == (f"{arguments} {command} True", 3)


@pytest.mark.parametrize("command", ["sh -c 'exec {python} -m worker'", "env {python} -m worker", "no-such-program"])
async def test_what_something_else_than_the_interpreter_starts_is_not_forked(
    prepare: Callable[..., object], command: str
) -> None:
    setting = await prepare(command)
    noted(setting.zygotes, command).write_text("email\n")
    assert setting.zygotes.of(command) is None


async def test_a_script_of_the_app_s_environment_is_forked(prepare: Callable[..., object], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)  # noqa: ASYNC221
    python = tmp_path / "venv" / "bin" / "python"
    script = python.with_name("serve")
    script.write_text(f"#!{python}\n")
    setting = await prepare("serve --port {port}", python)
    noted(setting.zygotes, "serve --port {port}").write_text("email\n")
    assert setting.zygotes.of("serve --port {port}") is not None


async def test_the_app_s_own_package_is_not_imported_ahead_though_it_was_installed(
    prepare: Callable[..., object], tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)  # noqa: ASYNC221
    packages = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    for name, origin in (("tiny", '{"url": "file:///app", "dir_info": {}}'), ("big", '{"url": "https://a.test/b"}')):
        place = packages / f"{name}-1.dist-info"
        place.mkdir()
        (place / "direct_url.json").write_text(origin)
        (place / "RECORD").write_text(f"{name}/__init__.py,,\n{name}_more.py,,\n")
    command = "{python} -m worker"
    setting = await prepare(command, tmp_path / "venv" / "bin" / "python")
    noted(setting.zygotes, command).write_text("tiny\ntiny.settings\ntiny_more\nbig\nbig.core\n")
    assert setting.zygotes.of(command) is not None
    [names] = (setting.scratch / "zygotes").glob("*.names")
    assert names.read_text().split() == ["big", "big.core"]


async def test_a_cache_that_cannot_be_written_or_read_costs_nothing(
    prepare: Callable[..., object], tmp_path: Path
) -> None:
    setting = await prepare("{python} -m worker")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    (tmp_path / "cache").write_text("a file where a directory should be")
    noted(setting.zygotes, "{python} -m worker").write_bytes(b"email\n\xff\xfe broken; rm\n")
    assert setting.zygotes.of("{python} -m worker") is not None
    [names] = (setting.scratch / "zygotes").glob("*.names")
    assert names.read_text().split() == ["email"]


async def test_what_the_kernel_refused_to_forked_processes_is_told_when_a_stage_closes(
    prepare: Callable[..., object],
) -> None:
    setting = await prepare("{python} -m worker")
    refused = {"event": "refused", "kind": "connection", "host": "203.0.113.7", "port": 80, "where": None, "pid": 1}
    async with setting.backstage(0):
        setting.zygotes.egress.path.write_text(json.dumps(refused | {"process": "worker"}) + "\n")
    assert setting.egress == {"connection 203.0.113.7:80 from worker"}
