"""A process of the app, stopped before its first line, that forks others (``redirect/python/holdtrue_zygote.py``)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdtrue.stage.process.errors import StartError
from holdtrue.stage.process.runner import AppProcess, Redactor

PATIENCE = 30.0
"""Seconds that its imports may take; whoever waits for it starts on their own then."""


def program_of(words: Sequence[str]) -> list[str]:
    """The words of a Python command that say what runs, without its arguments; all of them where that is not plain."""
    if words[1:2] == ["-m"]:
        return [*words[:3]]
    if "python" not in words[0].rpartition("/")[2]:
        return [*words[:1]]  # a script of the environment
    return [*words[:2]] if len(words) > 1 and not words[1].startswith("-") else [*words]


class Zygote:
    """Starts at once, in the background; ``fork`` waits until it is ready. That it cannot fork is no failure.

    It forks for every command that runs the same program, whatever its arguments. ``command`` and ``env`` are as for
    the processes it forks, but for arguments and addresses in them; ``names`` is a file with the modules to import.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log_path: Path,
        redact: Redactor,
        names: Path,
    ) -> None:
        self.unfit: str | None = None
        """Why it forks nothing, if that is known."""
        self._control, self._theirs = socket.socketpair()
        self._control.setblocking(False)
        self._forking = asyncio.Lock()
        self._process = AppProcess(
            name,
            program_of(command),
            cwd=cwd,
            env={**env, "HOLDTRUE_STAGE_ZYGOTE": f"{self._theirs.fileno()}:{names}"},
            log_path=log_path,
            redact=redact,
            descriptors=[self._theirs.fileno()],
        )
        self._ready = asyncio.create_task(self._start(), name=name)

    @property
    def guard_pid(self) -> int | None:
        """The process that answers for the kernel when one of the children connects."""
        return self._process.guard_pid

    @property
    def sealed(self) -> bool:
        """Whether the kernel guards it, and with it the children."""
        return self._process.sealed

    async def fork(self, order: dict[str, Any], stdin: socket.socket, stdout: socket.socket) -> bool:
        """Have a process forked, under a supervisor with these ends; False if it cannot be."""
        if not await asyncio.shield(self._ready):
            return False
        words: list[str] = order["command"]
        data = json.dumps({**order, "arguments": words[len(program_of(words)) :]}).encode()
        async with self._forking:
            try:
                socket.send_fds(self._control, [len(data).to_bytes(8, "big")], [stdin.fileno(), stdout.fileno()])
                await asyncio.get_running_loop().sock_sendall(self._control, data)
            except OSError as gone:
                self.unfit = str(gone)
                return False
        return True

    async def close(self) -> None:
        """End it, and everything that it forked."""
        self._ready.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ready
        await self._process.kill()
        self._control.close()
        self._theirs.close()  # it may not even have been begun

    async def _start(self) -> bool:
        """Whether it can fork."""
        try:
            with self._theirs:
                await self._process.start()
            async with asyncio.timeout(PATIENCE):
                answer = await asyncio.get_running_loop().sock_recv(self._control, 4096)
        except (StartError, TimeoutError, OSError) as error:
            self.unfit = str(error)
        else:
            self.unfit = json.loads(answer).get("unfit") if answer else "it ended before it was ready"
        return self.unfit is None
