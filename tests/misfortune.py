"""A tiny app (tests/tiny) that any misfortune can befall, and a world in which checks of it run as people run them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tomlkit

TINY = Path(__file__).with_name("tiny")
SERVING = Path(__file__).with_name("serving")


def process(**env: str) -> dict[str, Any]:
    """The document's `[process]` of an app that consists of server.py and migrate.py."""
    return {
        "start": "{python} server.py {port}",
        "python": sys.executable,
        "migrate": "{python} migrate.py",
        "ready": "/health",
        "ready_seconds": 60,
        "env": {"DATABASE_URL": "{postgres_url}", **env},
    }


def principal(permissions: list[str], capture: dict[str, str], **step: Any) -> dict[str, Any]:
    """A principal who comes by one step, which answers with a token."""
    return {
        "permissions": permissions,
        "headers": {"Authorization": "{token}"},
        "steps": [{"capture": {**capture, "token": "token"}, **step}],
    }


OWNER = principal(["*"], {"team_id": "team_id"}, request="POST /teams", json={"name": "Team {canary}"})

DOCUMENT: dict[str, Any] = {
    "app": {"name": "tiny"},
    "process": process(SECRET_KEY="{secret:signing}"),
    "permissions": {"notes.read": "read notes", "notes.write": "write notes"},
    "principals": {
        "owner": OWNER,
        "reader": principal(["notes.read"], {}, request="POST /members", **{"as": "owner"}),
    },
    "routes": {
        "GET /notes": {"permission": "notes.read"},
        "POST /notes": {"permission": "notes.write", "json": {"text": "{canary}"}},
    },
}


@dataclass
class App:
    """The tiny app in a directory of its own; change ``document`` and ``files``, then ``write``."""

    directory: Path
    document: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(DOCUMENT)))
    files: dict[str, str] = field(default_factory=dict)
    """What is otherwise than in ``source``."""
    source: Path = TINY
    """Where its files are copied from."""

    @property
    def process(self) -> dict[str, Any]:
        """The document's `[process]`."""
        return self.document["process"]

    def trick(self, name: str) -> None:
        """Let the app misbehave in one way."""
        self.process["env"]["TRICK"] = name

    def write(self) -> None:
        """Write the files and the document."""
        for files in (SERVING, self.source):
            shutil.copytree(files, self.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in self.files.items():
            (self.directory / name).write_text(text, encoding="utf-8")
        (self.directory / "holdtrue.toml").write_text(tomlkit.dumps(self.document), encoding="utf-8")

    def place(self, words: str) -> str:
        """``file:line`` of the first line of the written document that begins with these words."""
        file = self.directory / "holdtrue.toml"
        lines = file.read_text(encoding="utf-8").splitlines()
        return f"{file}:{next(number for number, line in enumerate(lines, 1) if line.startswith(words))}:"

    def kept(self) -> str:
        """Everything that checks have kept beside the app."""
        files = sorted(path for path in (self.directory / ".holdtrue").rglob("*") if path.is_file())
        return "\n".join(f"== {path}\n{path.read_text(encoding='utf-8', errors='replace')}" for path in files)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A check that ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both streams."""
        return self.out + self.err


class Running:
    """A check that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""

    def wait_for(self, door: int) -> None:
        """Wait until something can be read there; fail when the check ends before."""
        assert self.process.stdout is not None
        while door not in (ready := select.select([door, self.process.stdout], [], [])[0]):
            assert ready
            line = self.process.stdout.readline()
            assert line, f"it ended before: {self.said}"
            self.said += line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the check's whole process group, as a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, number)

    def end(self) -> Done:
        """Wait for the end."""
        out, err = self.process.communicate()
        return Done(code=self.process.returncode, out=self.said + out, err=err or "")


class World:
    """Where a test's checks run: scratch, cache and home of its own, so that nothing left behind goes unseen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / "tmp"
        self.pids: list[int] = []
        for name in ("tmp", "home", "cache", "cwd"):
            (root / name).mkdir()
        self.app = App(root / "app")
        self.diary = root / "diary"
        """Where the app notes down what was to be secret."""
        self.door = root / "door"
        """A pipe on which the app, or one of its commands, tells that it got as far as it will get."""
        os.mkfifo(self.door)
        self.app.process["env"] |= {"DOOR": str(self.door), "DIARY": str(self.diary)}

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        patience: Mapping[str, float] | None = None,
        under: Sequence[str] = (),
        merged: bool = True,
    ) -> Running:
        """Write the app and start a check of it.

        ``patience`` shortens waits: module.NAME → seconds. ``under`` is a command that runs it, in its own process.
        """
        self.app.write()
        settings = "".join(
            f"import {name.rpartition('.')[0]} as module; module.{name.rpartition('.')[2]} = {seconds}; "
            for name, seconds in (patience or {}).items()
        )
        # Whoever runs the tests in the background ignores Ctrl-C, and what they start inherits that.
        settings += "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        code = f"{settings}from holdtrue.cli.main import main; main()"
        process = subprocess.Popen(
            [*under, sys.executable, "-c", code, "check", str(self.app.directory), "--stages", "1", *arguments],
            cwd=self.root / "cwd",
            env=self._environment() | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pids.append(process.pid)
        return Running(process)

    def check(self, *arguments: str, **how: Any) -> Done:
        """Write the app and check it to the end."""
        return self.start(*arguments, **how, merged=False).end()

    def start_up_to_the_door(self, *arguments: str, **how: Any) -> Running:
        """Start a check, and wait until something of the app stands at the door."""
        door = os.open(self.door, os.O_RDWR)  # for writing, too: so it opens at once, and never ends
        try:
            running = self.start(*arguments, **how)
            running.wait_for(door)
        finally:
            os.close(door)
        return running

    def report(self) -> dict[str, Any]:
        """The newest report."""
        newest = sorted((self.app.directory / ".holdtrue" / "runs").glob("*/report.json"))[-1]
        report: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
        return report

    def _environment(self) -> dict[str, str]:
        """A shell's, without anything of this machine that a check could stumble over."""
        names = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
        return {name: os.environ[name] for name in names if name in os.environ} | {
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.scratch),
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "COLUMNS": "200",
        }

    # -- what is left behind --------------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Processes of this world's checks: they have its paths in their command or their working directory."""
        marks = [str(self.root), *(f"holdtrue-pg-{pid}-" for pid in self.pids)]
        return [process for process in psutil.process_iter() if _mentions(process, marks)]

    def directories(self) -> list[str]:
        """What checks made in temporary directories and did not remove."""
        left = list(self.scratch.iterdir())
        for pid in self.pids:
            left += Path("/dev/shm").glob(f"holdtrue-pg-{pid}-*")
        return [str(path) for path in left]

    def until_gone(self) -> None:
        """Wait for processes that end by themselves."""
        _, alive = psutil.wait_procs(self.processes(), timeout=60)
        assert not alive, [process.cmdline() for process in alive]

    def assert_clean(self) -> None:
        """Nothing at all is left."""
        left = [process.cmdline() for process in self.processes()]
        assert not left
        assert not self.directories()


def _mentions(process: psutil.Process, marks: Sequence[str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            return False
        text = "\0".join([*process.cmdline(), process.cwd()])
    except psutil.Error:
        return False
    return any(mark in text for mark in marks)
