"""The embedded PostgreSQL of a development run: its data stays, its processes end with the run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.database import installation
from holdtrue.stage.process import AppProcess, run

DATABASE, OWNER, RUNTIME = "app", "app_owner", "app_runtime"
_PATIENCE = 60.0
_SOCKET_PATH_LIMIT = 100
_BECOME = "import os, sys; os.setgroups([]); os.setgid({gid}); os.setuid({uid}); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True, kw_only=True)
class Database:
    """A running server with the app's database and its two roles."""

    sockets: Path
    home: Path

    def url(self, role: str) -> str:
        """The URL for a role. Who may enter the directory of the socket needs no password."""
        return f"postgresql://{role}@/{DATABASE}?host={self.sockets}"


@asynccontextmanager
async def database(kept: Path, logs: Path) -> AsyncIterator[Database]:
    """Start it on the data below ``kept``, making it first where there is none.

    Raises:
        HoldtrueError: it does not start.
    """
    account = await installation.account()
    home = _home(kept, account)
    with tempfile.TemporaryDirectory(prefix="holdtrue-dev-") as short:
        sockets = home if len(os.fsencode(home / ".s.PGSQL.5432")) < _SOCKET_PATH_LIMIT else Path(short)
        if account:
            os.chown(short, account.uid, account.gid)
        binaries = await installation.reachable_binaries(installation.embedded().binaries, home, account)
        become = [sys.executable, "-I", "-S", "-c", _BECOME.format(gid=account.gid, uid=account.uid)] if account else []
        if not (home / "data" / "PG_VERSION").exists():
            await _made([*become, *_initdb(binaries, home)], home, logs)
        server = AppProcess(
            "PostgreSQL",
            [*become, *_postgres(binaries, home, sockets)],
            cwd=home,
            env={"PATH": str(binaries), "LC_ALL": "C", "TZ": "UTC"},
            log_path=logs / "postgres.log",
            sealed=False,
        )
        await server.start()
        try:
            found = Database(sockets=sockets, home=home)
            await _ready(found, server)
            await _prepared(found)
            yield found
        finally:
            await _stop(server)


def _home(kept: Path, account: installation.Account | None) -> Path:
    """Where its data is. PostgreSQL refuses to run as root, and another account may not reach root's directories."""
    home = kept.resolve() / "postgres"
    home.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        if not installation.is_reachable(home.parent, account):
            name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
            home = Path(tempfile.gettempdir()) / f"holdtrue-dev-{name}"
            home.mkdir(mode=0o700, exist_ok=True)
        if home.stat().st_uid not in (0, account.uid):
            raise HoldtrueError(f"{home} belongs to somebody else", do="Remove it.")
        os.chown(home, account.uid, account.gid)
    return home


def _initdb(binaries: Path, home: Path) -> list[str]:
    places = [f"--pgdata={home / 'data'}", "--username=postgres", "--auth=trust", "--encoding=UTF8"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [str(binaries / "initdb"), *places, *locale]


def _postgres(binaries: Path, home: Path, sockets: Path) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "shared_buffers": "32MB",
        "synchronous_commit": "off",
        "timezone": "UTC",
        "io_method": "sync",
    }
    return [str(binaries / "postgres"), "-D", str(home / "data"), *(f"--{name}={it}" for name, it in settings.items())]


async def _made(command: Sequence[str], home: Path, logs: Path) -> None:
    done = await run(
        command,
        cwd=home,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        log_path=logs / "initdb.log",
        patience=_PATIENCE,
        name="initdb",
        sealed=False,
    )
    if done.returncode != 0:
        raise HoldtrueError(f"initdb ended with code {done.returncode}:\n{done.output[-1000:]}", where=str(home))


async def _ready(database: Database, server: AppProcess) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE
    while server.alive and loop.time() < end:
        try:
            async with await _admin(database, "postgres"):
                return
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)
    raise HoldtrueError(
        f"PostgreSQL did not start:\n{server.log(10)}",
        where=str(database.home),
        do="Read its last words. Its data can be thrown away: remove the directory.",
    )


async def _admin(database: Database, name: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=str(database.sockets), user="postgres", dbname=name, autocommit=True
    )


async def _prepared(database: Database) -> None:
    """The two roles of a deployment, and the database; as an administrator would make them."""
    async with await _admin(database, "postgres") as connection:
        for role in (OWNER, RUNTIME):
            found = await connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
            if await found.fetchone() is None:
                await connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            make = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
            await connection.execute(make)
    async with await _admin(database, DATABASE) as connection:
        setting = sql.SQL("FUNCTION pg_catalog.set_config(text, text, boolean)")
        owner = sql.Identifier(OWNER)
        await connection.execute(sql.SQL("REVOKE EXECUTE ON {} FROM PUBLIC").format(setting))
        await connection.execute(sql.SQL("GRANT EXECUTE ON {} TO {}").format(setting, owner))
        await connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(owner))


async def _stop(server: AppProcess) -> None:
    """A fast shutdown by the postmaster alone (PostgreSQL, 18.5): clients are cut, and what was committed is kept."""
    if server.alive and server.pid is not None:
        os.kill(server.pid, signal.SIGINT)
        await asyncio.wait({asyncio.create_task(server.wait())}, timeout=20)
    await server.kill()
