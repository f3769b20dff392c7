"""Which of the app's programs are forked from a zygote: those whose imports an earlier start has shown."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shlex
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from holdtrue.contract.document import Command
from holdtrue.stage.cache import cache_directory
from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.process import Egress, Redirect
from holdtrue.stage.process.zygote import Zygote, program_of

if TYPE_CHECKING:
    from holdtrue.stage.setting import Setting

_MODULE = re.compile(r"^[\w.]+$", re.MULTILINE)


class Zygotes:
    """One zygote for each program of the app that is started again and again; an async context that ends them.

    What a program imports its processes note while they start; it is kept in the person's cache for the next check.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._zygotes: dict[str, Zygote] = {}
        place = setting.scratch / "zygotes"
        self._redirect = Redirect(place, routes={}, ca=setting.authority.ca_file, root=setting.copy)
        self._cache = cache_directory() / "imports"
        self._own = _own(setting.python)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(zygote.close() for zygote in self._zygotes.values()))
        with contextlib.suppress(OSError):  # where nothing can be kept, the next check starts as this one did
            self._keep()

    @property
    def egress(self) -> Egress:
        """What the kernel refused to whoever was forked: a zygote's supervisor answers for its children."""
        return self._redirect.egress

    def of(self, command: Command) -> Zygote | None:
        """The zygote of a command, begun if need be; None where it is not known what to import, or nothing can be."""
        key = self._key(command)
        if key not in self._zygotes:
            names = self._names(key)
            words = self._program(command)
            if not names or not self._is_python(words[0]):
                return None
            place = self._redirect.directory / f"{key}.names"
            place.write_text("\n".join(names))
            setting = self._setting
            self._zygotes[key] = Zygote(
                "zygote",
                words,
                cwd=setting.copy,
                env=self._redirect.environment(
                    setting.environment(Instruments.nobody(), values={"python": str(setting.python), "port": "0"})
                ),
                log_path=setting.logs / f"zygote-{len(self._zygotes)}.log",
                redact=setting.redactor.text,
                names=place,
            )
        return self._zygotes[key]

    def environment(self, command: Command) -> dict[str, str]:
        """What a process needs to note its imports."""
        return {"HOLDTRUE_STAGE_IMPORTS": str(self._redirect.directory / f"{self._key(command)}.noted")}

    def _key(self, command: Command) -> str:
        setting = self._setting
        app = [setting.document.app.name, str(setting.python), *self._program(command)]
        return hashlib.sha256(shlex.join(app).encode()).hexdigest()[:24]

    def _program(self, command: Command) -> list[str]:
        words = program_of(shlex.split(command) if isinstance(command, str) else command)
        return Instruments.nobody().command(words, {"python": str(self._setting.python)})

    def _is_python(self, program: str) -> bool:
        """Whether the app's interpreter is what starts, and not something that starts it."""
        python = self._setting.python
        if program == str(python):
            return True
        script = python.parent / program
        try:
            with script.open("rb") as file:
                return file.readline().startswith(f"#!{python.parent}/python".encode())
        except OSError:
            return False

    def _names(self, key: str) -> list[str]:
        """What was noted in this check, and before it."""
        names: dict[str, None] = {}
        for file in (self._cache / key, self._redirect.directory / f"{key}.noted"):
            with contextlib.suppress(OSError):  # nothing was
                names |= dict.fromkeys(_MODULE.findall(file.read_text(errors="replace")))
        return [name for name in names if name.partition(".")[0] not in self._own]

    def _keep(self) -> None:
        """Written whole and renamed: two checks may end at once."""
        self._cache.mkdir(parents=True, exist_ok=True)
        for noted in self._redirect.directory.glob("*.noted"):
            unfinished = self._cache / f"{noted.stem}.{os.getpid()}"
            unfinished.write_text("\n".join(self._names(noted.stem)))
            unfinished.replace(self._cache / noted.stem)


def _own(python: Path) -> set[str]:
    """Top-level modules of the app that were installed from its directory (PEP 610), and not from an index."""
    found: set[str] = set()
    for origin in python.parent.parent.glob("lib/python*/site-packages/*.dist-info/direct_url.json"):
        if "dir_info" in json.loads(origin.read_text()):
            record = origin.with_name("RECORD").read_text().splitlines()
            found |= {line.split(",")[0].split("/")[0].removesuffix(".py") for line in record}
    return found
