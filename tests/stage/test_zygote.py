"""Processes of the app that are forked, and are what a start would have made of them."""

import asyncio
import json
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdtrue.stage.process import AppProcess, Redirect
from holdtrue.stage.process.zygote import Zygote

from .test_process_runner import DAEMON, pids_of, until_ended, until_said

HEAVY = """
import os
with open(os.environ["LEDGER"], "a") as ledger:
    ledger.write(f"{os.getpid()}\\n")
"""

TELL = """
import heavy, json, os, random, sys
print(json.dumps({
    "argv": sys.argv[1:], "words": getattr(sys, "orig_argv", sys.argv)[-2:],
    "cwd": os.getcwd(), "name": os.environ["NAME"],
    "path": sys.path[0], "main": __name__, "leader": os.getpid() == os.getsid(0), "number": random.random(),
    "ours": sorted(name for name in os.environ if "ZYGOTE" in name or "IMPORTS" in name),
    "pid": os.getpid(), "own": "own" in sys.modules, "stdin": os.readlink("/proc/self/fd/0"),
}))
"""


@dataclass
class House:
    """An app below a directory, with other people's packages beside it."""

    place: Path
    made: list[AppProcess | Zygote] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app, self.others = self.place / "app", self.place / "site-packages"
        self.app.mkdir()
        self.others.mkdir()
        self.redirect = Redirect(self.place / "redirect", routes={}, ca=None, root=self.app)
        self.module("heavy", HEAVY, others=True)

    def module(self, name: str, code: str, *, others: bool = False) -> None:
        (self.others if others else self.app).joinpath(f"{name}.py").write_text(textwrap.dedent(code))

    def environment(self, **more: str) -> dict[str, str]:
        declared = {"PYTHONPATH": str(self.others), "LEDGER": str(self.place / "ledger"), "PYTHONUNBUFFERED": "1"}
        return self.redirect.environment(declared | more)

    def zygote(self, *words: str, names: str = "heavy") -> Zygote:
        self.place.joinpath("names").write_text(names)
        made = Zygote(
            "zygote", [sys.executable, *words], cwd=self.app, env=self.environment(NAME="nobody"),
            log_path=self.place / "zygote.log", redact=str, names=self.place / "names",
        )  # fmt: skip
        self.made.append(made)
        return made

    def process(self, *words: str, mother: Zygote | None, **env: str) -> AppProcess:
        made = AppProcess(
            f"process {len(self.made)}", [sys.executable, *words], cwd=self.app, env=self.environment(**env),
            log_path=self.place / f"{len(self.made)}.log", mother=mother,
        )  # fmt: skip
        self.made.append(made)
        return made

    async def told(self, *words: str, mother: Zygote | None, **env: str) -> dict[str, Any]:
        process = self.process(*words, mother=mother, **env)
        await process.start()
        assert await process.wait() == 0, process.log()
        told: dict[str, Any] = json.loads(process.log())
        assert told["pid"] == process.pid
        return told

    def imported(self) -> int:
        """In how many processes the heavy package was imported."""
        return len((self.place / "ledger").read_text().split())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    for made in reversed(house.made):
        await (made.close() if isinstance(made, Zygote) else made.kill())


@pytest.mark.parametrize("words", [("-m", "tell"), ("tell.py",)], ids=["module", "script"])
async def test_a_forked_process_is_what_a_started_one_is(house: House, words: tuple[str, ...]) -> None:
    house.module("tell", TELL)
    zygote = house.zygote(*words, "--port", "0")
    started = await house.told(*words, "--port", "4001", mother=None, NAME="web1")
    forked = await house.told(*words, "--port", "4001", mother=zygote, NAME="web1")
    assert zygote.unfit is None
    assert forked.pop("pid") != started.pop("pid")
    assert forked.pop("number") != started.pop("number")
    assert forked == started
    assert forked["argv"] == forked["words"] == ["--port", "4001"]
    assert forked["leader"]
    assert not forked["ours"]


async def test_what_other_people_wrote_is_imported_once_for_all_and_chance_is_each_ones_own(house: House) -> None:
    house.module("tell", TELL)
    zygote = house.zygote("-m", "tell")
    told = [await house.told("-m", "tell", mother=zygote, NAME=name) for name in ("web1", "web2", "web3")]
    assert house.imported() == 1
    assert [each["name"] for each in told] == ["web1", "web2", "web3"]
    assert len({each["number"] for each in told}) == 3


async def test_the_apps_own_module_is_never_imported_ahead_even_where_others_have_one_of_its_name(house: House) -> None:
    house.module("own", "WHOSE = 'the app'")
    house.module("tell", "import own; print(own.WHOSE)")
    noted = house.place / "noted"
    process = house.process("-m", "tell", mother=None, HOLDTRUE_STAGE_IMPORTS=str(noted))
    await process.start()
    assert await process.wait() == 0
    assert not {"own", "tell"} & set(noted.read_text().split())
    forked = house.process("-m", "tell", mother=house.zygote("-m", "tell", names=noted.read_text()))
    await forked.start()
    assert await forked.wait() == 0
    assert forked.log().strip() == "the app"


async def test_a_process_notes_what_it_imports_of_others_while_it_lives(house: House) -> None:
    house.module("package", "import heavy, own, email.message", others=True)
    house.module("own", "")
    house.module("tell", "import package, signal; print('ready'); signal.pause()")
    noted = house.place / "noted"
    process = house.process("-m", "tell", mother=None, HOLDTRUE_STAGE_IMPORTS=str(noted))
    await process.start()
    await until_said(process, 1)
    names = noted.read_text().split()
    assert names.index("package") < names.index("heavy") < names.index("email.message")
    assert "own" not in names


async def test_nothing_that_a_forked_process_has_forked_outlives_it_and_the_next_can_be_forked(house: House) -> None:
    house.module("daemon", DAEMON)
    zygote = house.zygote("-m", "daemon")
    for _ in range(2):
        process = house.process("-m", "daemon", mother=zygote)
        await process.start()
        pids = pids_of(await until_said(process, 4))
        assert process.pid == pids["main"]
        watched = [psutil.Process(pid) for pid in pids.values()]
        assert await process.kill() == -9
        await until_ended(watched)
    assert house.imported() == 1


async def test_a_forked_process_ends_on_term_and_tells_its_code(house: House) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('ready'); signal.pause()"
    house.module("polite", code)
    process = house.process("-m", "polite", mother=house.zygote("-m", "polite"))
    await process.start()
    await until_said(process, 1)
    assert await process.stop() == 7
    assert not process.alive


async def test_what_was_forked_ends_with_the_zygote(house: House) -> None:
    house.module("daemon", DAEMON)
    zygote = house.zygote("-m", "daemon")
    process = house.process("-m", "daemon", mother=zygote)
    await process.start()
    watched = [psutil.Process(pid) for pid in pids_of(await until_said(process, 4)).values()]
    await zygote.close()
    await until_ended(watched)
    await process.exited.wait()


async def test_the_kernel_guards_what_is_forked(house: House) -> None:
    house.module("leave", "import _socket; _socket.socket().connect(('203.0.113.7', 80))")
    process = house.process("-m", "leave", mother=house.zygote("-m", "leave"))
    await process.start()
    if not process.sealed:
        pytest.skip("this kernel or container offers no seccomp notifications")
    assert process.guard_pid not in (None, process.root_pid)
    assert await process.wait() == 1
    assert process.guard_pid is process.root_pid is None
    assert "refused" in process.log()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "thread"),
        ("import random; DICE = random.Random(1)", "random number generator"),
        ("import sys; sys.modules['numpy.random'] = sys", "random number generator"),
        ("import socket; LINE = socket.socketpair()", "connection"),
        ("import os; os._exit(3)", "it ended"),
    ],
    ids=["thread", "dice", "numpy", "connection", "end"],
)
async def test_where_a_fork_would_not_be_what_a_start_is_processes_are_started(
    house: House, code: str, why: str
) -> None:
    house.module("odd", code, others=True)
    house.module("tell", TELL)
    zygote = house.zygote("-m", "tell", names="heavy odd")
    told = await house.told("-m", "tell", mother=zygote, NAME="web1")
    assert told["name"] == "web1"
    assert zygote.unfit is not None
    assert why in zygote.unfit
    assert house.imported() == 2  # by the zygote, and by the process


async def test_generators_that_ask_the_system_and_modules_that_are_not_there_do_not_matter(house: House) -> None:
    house.module("sound", "import random; DICE = random.SystemRandom()", others=True)
    house.module("broken", "raise RuntimeError('only on Tuesdays')", others=True)
    house.module("tell", TELL)
    zygote = house.zygote("-m", "tell", names="sound absent broken heavy")
    await house.told("-m", "tell", mother=zygote, NAME="web1")
    assert zygote.unfit is None
    assert house.imported() == 1


async def test_processes_can_be_forked_at_once(house: House) -> None:
    house.module("tell", TELL)
    zygote = house.zygote("-m", "tell", "x")
    names = [f"web{number}" for number in range(5)]
    told = await asyncio.gather(*(house.told("-m", "tell", name, mother=zygote, NAME=name) for name in names))
    assert [each["name"] for each in told] == [each["argv"][0] for each in told] == names
    assert house.imported() == 1
