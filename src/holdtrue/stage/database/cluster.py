"""A real PostgreSQL for one check: embedded, installed on the machine, or a given server on loopback."""

import ipaddress
import itertools
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdtrue.stage.database import installation as places
from holdtrue.stage.database.errors import DatabaseError, translate
from holdtrue.stage.database.installation import Installation
from holdtrue.stage.database.server import PORT, Server
from holdtrue.stage.database.two_phase import roll_back_prepared


class Cluster:
    """One running PostgreSQL. Made by `embedded`, `system` or `server`; everything it holds ends with it."""

    def __init__(
        self,
        *,
        parameters: Mapping[str, str],
        run: str,
        binaries: Path,
        log: deque[str],
    ) -> None:
        self.run = run
        self.binaries = binaries
        self.password = secrets.token_urlsafe(18)
        self.version = 0
        self.numbers = itertools.count(1)
        self._parameters = dict(parameters)
        self._log = log
        self._made_roles: list[str] = []

    @classmethod
    @asynccontextmanager
    async def embedded(
        cls,
        directory: Path | None = None,
        *,
        run: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator["Cluster"]:
        """Start the PostgreSQL that comes from PyPI; it has `plpgsql` and `vector` as its only extensions.

        `directory` is where its data goes (default: memory when there is plenty, else the temporary directory).
        `environment` is added to the server's otherwise empty one, so that its clock can be moved.

        Raises:
            DatabaseError: it does not start.
        """
        async with cls._private(places.embedded(), directory, run, environment or {}) as cluster:
            yield cluster

    @classmethod
    @asynccontextmanager
    async def system(
        cls,
        directory: Path | None = None,
        *,
        major: int | None = None,
        run: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator["Cluster"]:
        """Start a private cluster with the PostgreSQL installed on this machine, for an app that needs its extensions.

        Raises:
            DatabaseError: none is installed, or it does not start.
        """
        async with cls._private(await places.installed(major), directory, run, environment or {}) as cluster:
            yield cluster

    @classmethod
    @asynccontextmanager
    async def server(cls, url: str, *, run: str | None = None) -> AsyncIterator["Cluster"]:
        """Use a running server on this machine. Only databases and roles made here are ever touched, and all go.

        Raises:
            DatabaseError: the URL leads to another machine, or the server cannot be used.
        """
        parameters = _local_parameters(url)
        cluster = cls(
            parameters=parameters, run=run or secrets.token_hex(4), binaries=places.embedded().binaries, log=deque()
        )
        await cluster._greet()
        if cluster.major > places.embedded().major:
            cluster.binaries = (await places.installed(cluster.major)).binaries
        try:
            yield cluster
        finally:
            await cluster._clear()

    @classmethod
    @asynccontextmanager
    async def _private(
        cls, installation: Installation, directory: Path | None, run: str | None, environment: Mapping[str, str]
    ) -> AsyncIterator["Cluster"]:
        owner = await places.account()
        # Memory is often mounted without the right to execute, so programs that must be copied go to the disk.
        in_memory = places.is_reachable(installation.binaries, owner)
        home = places.make_home(directory, owner, in_memory=in_memory)
        server = Server(home, owner)
        try:
            binaries = await places.reachable_binaries(installation.binaries, home, owner)
            await server.start(binaries, installation.major, environment)
            parameters = {"host": str(home), "port": str(PORT), "user": "postgres", "dbname": "postgres"}
            cluster = cls(parameters=parameters, run=run or secrets.token_hex(4), binaries=binaries, log=server.log)
            await cluster._greet()
            yield cluster
        finally:
            await server.stop()

    @property
    def host(self) -> str:
        """Host name or address; for a private cluster the directory of its socket."""
        return self._parameters["host"]

    @property
    def port(self) -> int:
        """Port, which is also part of the socket's name."""
        return int(self._parameters.get("port", PORT))

    @property
    def socket_dir(self) -> Path | None:
        """Directory of the server's socket; none when it is reached by TCP."""
        return Path(self.host) if self.host.startswith("/") else None

    @property
    def superuser(self) -> str:
        """The role that `admin` connects as."""
        return self._parameters["user"]

    @property
    def major(self) -> int:
        """Major version, such as 18."""
        return self.version // 10_000

    @property
    def log(self) -> Sequence[str]:
        """The last lines of a private server's log."""
        return tuple(self._log)

    def name(self, part: str) -> str:
        """The name that a database of this run has on the server."""
        name = f"holdtrue_{self.run}_{part}"
        if len(name.encode()) > 63:
            raise DatabaseError(
                f"The database name '{name}' is longer than PostgreSQL's 63 bytes.", "Use a shorter app or run name."
            )
        return name

    def conninfo(self, database: str, *, user: str | None = None) -> str:
        """Connection string for one database, as the superuser or as a role made by `roles`."""
        given = {**self._parameters, "dbname": database}
        if user is not None:
            given |= {"user": user, "password": self.password}
        return make_conninfo("", **given)

    async def admin(self, database: str | None = None) -> psycopg.AsyncConnection:
        """An autocommit connection as superuser; the caller closes it (`async with await cluster.admin(...)`).

        Raises:
            DatabaseError: the server does not answer, or knows no such database.
        """
        return await self.connect(database or self._parameters["dbname"])

    async def connect(self, database: str, *, user: str | None = None) -> psycopg.AsyncConnection:
        """An autocommit connection, as superuser or as a role made by `roles`.

        Raises:
            DatabaseError: the server does not answer, or refuses.
        """
        try:
            return await psycopg.AsyncConnection.connect(
                self.conninfo(database, user=user), autocommit=True, connect_timeout=10
            )
        except psycopg.OperationalError as error:
            raise translate(error, f"connecting to database '{database}'", list(self._log)[-5:]) from error

    async def available_extensions(self) -> frozenset[str]:
        """Names of the extensions that an app can create on this server."""
        async with await self.admin() as connection:
            found = await connection.execute("SELECT name FROM pg_available_extensions")
            return frozenset(name for (name,) in await found.fetchall())

    async def roles(self, owner: str, runtime: str) -> None:
        """Make the role that owns the app's tables and the one it runs as (once, when they are the same).

        Neither is a superuser, and neither bypasses row-level security: a superuser would make every policy look kept.

        Raises:
            DatabaseError: a given server already has such a role, which is not ours to change.
        """
        async with await self.admin() as connection:
            for role in dict.fromkeys((owner, runtime)):
                if role in self._made_roles:
                    continue
                try:
                    await connection.execute(
                        sql.SQL(
                            "CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION "
                            "PASSWORD {}"
                        ).format(sql.Identifier(role), sql.Literal(self.password))
                    )
                except psycopg.errors.DuplicateObject as error:
                    raise DatabaseError(
                        f"The role '{role}' exists on this server already, with rights that may not be the app's.",
                        "Give the check a server without it, or use the embedded PostgreSQL.",
                    ) from error
                self._made_roles.append(role)

    async def _greet(self) -> None:
        async with await self.admin() as connection:
            self.version = connection.info.server_version

    async def _clear(self) -> None:
        async with await self.admin() as connection:
            ours = await connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"holdtrue_{self.run}_"]
            )
            for (database,) in await ours.fetchall():
                await connection.execute(
                    sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE false").format(sql.Identifier(database))
                )
                await roll_back_prepared(self, connection, database)
                await connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            for role in self._made_roles:
                await connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _local_parameters(url: str) -> dict[str, str]:
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise DatabaseError(
            "The database URL cannot be read.", "Write it as postgresql://user@127.0.0.1/name."
        ) from error
    hosts = [part for name in ("host", "hostaddr") for part in given.get(name, "").split(",") if part]
    if "service" in given or not hosts or not all(map(_is_local, hosts)):
        where = ", ".join(hosts) or "a server that the URL does not name"
        raise DatabaseError(
            f"The database URL leads to {where}. A check rehearses crashes and attacks, so it uses this machine only.",
            "Name 127.0.0.1, localhost or a socket directory, or leave the URL out for the embedded PostgreSQL.",
        )
    return {"dbname": "postgres", "user": "postgres", "host": hosts[0], **given}


def _is_local(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
