"""A private PostgreSQL server process, tuned for data that is thrown away, supervised so that it never outlives us."""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from holdtrue.stage.database.errors import DatabaseError
from holdtrue.stage.database.fresh import Fresh
from holdtrue.stage.database.installation import Account

PORT = 5432
_START_SECONDS = 60.0
_READY = "database system is ready to accept connections"
_SUPERVISOR = Path(__file__).with_name("supervisor.py")

# The data is thrown away after the check, so nothing is spent on surviving a power cut; the rest keeps the server
# from doing work of its own in the middle of a scenario. deadlock_timeout and everything the app could feel stays as
# production has it.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "1d",
    "bgwriter_lru_maxpages": "0",
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_locks_per_transaction": "256",
    # Apps that commit in two phases have it switched on in production, and no other app notices.
    "max_prepared_transactions": "64",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    # FATAL and LOG only: what the app does wrong is seen on the wire, not here.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}
_SETTINGS_SINCE: Mapping[int, Mapping[str, str]] = {18: {"io_method": "sync"}}


class Server:
    """A supervised server process in a home of its own."""

    def __init__(self, home: Path, owner: Account | None) -> None:
        self.log: deque[str] = deque(maxlen=50)
        self._home = home
        self._owner = owner
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self, binaries: Path, major: int, environment: Mapping[str, str]) -> None:
        """Make the data directory and start; returns when connections are accepted.

        Raises:
            DatabaseError: it ended instead, or was not ready within a minute.
        """
        data, initdb = self._home / "data", _initdb(binaries, major)
        fresh = Fresh.of(initdb, major)
        keep = fresh.way_to_keep(data)
        order = {
            "directory": str(self._home),
            "data": str(data),
            "user": self._owner.name if self._owner else None,
            "group": self._owner.gid if self._owner else None,
            "environment": {"PATH": str(binaries), "LC_ALL": "C", "TZ": "UTC", **environment},
            "make": fresh.ways_to_make(data, initdb),
            "keep": keep,
            "serve": {"command": _postgres(binaries, major, self._home), "ours": False},
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_SUPERVISOR),
            json.dumps(order),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            # Ctrl-C in a terminal reaches the whole group; this one ends by its pipe, after us.
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        self._watcher = asyncio.create_task(self._watch(self._process))
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, self._reader}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._ready.is_set():
            fresh.forget()
            raise DatabaseError(
                f"PostgreSQL {major} did not start in {self._home}. It said: {' | '.join(self.log) or 'nothing'}",
                "Read its last words; common causes are a full disk and a limit on shared memory.",
            )
        if keep is not None:
            fresh.keep(data)

    async def stop(self) -> None:
        """End every process of the server and remove its home."""
        if self._process is not None and self._reader is not None and self._watcher is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            await self._watcher
            # Every process of the server holds the other end: this returns when the last one is gone.
            await self._reader
            await self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    async def _watch(self, process: Process) -> None:
        """End the server when its supervisor is gone: were we killed next, nobody would."""
        if process.stdout is not None:
            # Only the supervisor holds the other end; its children write elsewhere.
            await process.stdout.read()
        pidfile = self._home / "data" / "postmaster.pid"
        if pidfile.exists():
            os.kill(int(pidfile.read_text().split()[0]), signal.SIGQUIT)

    async def _read(self, process: Process) -> None:
        while process.stderr is not None and (line := await process.stderr.readline()):
            text = line.decode(errors="replace").rstrip()
            self.log.append(text)
            if _READY in text:
                self._ready.set()


def _initdb(binaries: Path, major: int) -> list[str]:
    # The builtin provider gives the same order on every machine, whatever locales it has.
    locale = (
        ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else ["--locale=C.UTF-8"]
    )
    return [
        str(binaries / "initdb"),
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-sync",
        *locale,
    ]


def _postgres(binaries: Path, major: int, home: Path) -> list[str]:
    settings = {**_SETTINGS, "unix_socket_directories": str(home), "port": str(PORT)}
    for since, more in _SETTINGS_SINCE.items():
        if major >= since:
            settings |= more
    return [
        str(binaries / "postgres"),
        "-D",
        str(home / "data"),
        *(f"--{name}={value}" for name, value in settings.items()),
    ]
