"""A scratch PostgreSQL starts, is like the one in production where the app can tell, and never outlives its check."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from holdtrue.stage.database import Cluster, DatabaseError, Databases
from holdtrue.stage.database import server as server_module

START_AND_WAIT = """
import asyncio
from holdtrue.stage.database import Cluster

async def main():
    async with Cluster.embedded() as cluster:
        print(cluster.host, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def value(connection: psycopg.AsyncConnection, query: str) -> object:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return row[0]


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "data" / "postmaster.pid").read_text().split()[0]))


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_empty(directory: Path) -> bool:
    """Whether nothing is in a directory, or it is gone."""
    return not list(directory.glob("*"))


async def test_two_clusters_run_side_by_side_and_leave_nothing(cluster: Cluster, tmp_path: Path) -> None:
    async with Cluster.embedded(tmp_path) as other:
        assert other.host != cluster.host
        assert other.socket_dir is not None
        async with await other.admin() as connection:
            assert await value(connection, "SHOW listen_addresses") == ""
            assert await value(connection, "SHOW fsync") == "off"
        server, home = postmaster(other.socket_dir), other.socket_dir
    assert not alive(server)
    assert is_empty(home)
    assert is_empty(tmp_path)


def test_a_killed_check_leaves_no_server_and_no_data() -> None:
    check = subprocess.Popen([sys.executable, "-c", START_AND_WAIT], stdout=subprocess.PIPE, text=True)
    assert check.stdout is not None
    home = Path(check.stdout.readline().strip())
    server = postmaster(home)
    supervisor = server.parent()
    assert supervisor is not None
    check.kill()
    check.wait()
    check.stdout.close()
    psutil.wait_procs([supervisor, server], timeout=30)
    assert not alive(server)
    assert not alive(supervisor)
    assert is_empty(home)


async def test_a_killed_supervisor_leaves_no_server_and_no_data() -> None:
    async with Cluster.embedded() as cluster:
        home = Path(cluster.host)
        server = postmaster(home)
        supervisor = server.parent()
        assert supervisor is not None
        supervisor.kill()
    assert not alive(server)
    assert is_empty(home)


async def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SETTINGS", {"shared_buffers": "plenty"})
    with pytest.raises(DatabaseError, match='invalid value for parameter "shared_buffers"'):
        async with Cluster.embedded():
            pass


async def test_the_app_s_roles_bypass_nothing(cluster: Cluster) -> None:
    await cluster.roles("strict_owner", "strict_runtime")
    await cluster.roles("strict_owner", "strict_owner")
    async with await cluster.connect("postgres", user="strict_runtime") as connection:
        rights = await connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert await rights.fetchone() == (False, False, False, False)


async def test_the_embedded_server_says_which_extensions_it_has(cluster: Cluster) -> None:
    assert await cluster.available_extensions() == {"plpgsql", "vector"}
    assert cluster.major == 18


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example.com/app",
        "postgresql://app@127.0.0.1,db.example.com/app",
        "postgresql://app@localhost/app?hostaddr=10.0.0.7",
        "postgresql:///app",
        "service=production",
        "postgresql://%zz",
    ],
)
async def test_a_server_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError):
        async with Cluster.server(url):
            pass


async def test_on_a_given_server_only_our_own_is_touched_and_goes(cluster: Cluster) -> None:
    async with await cluster.admin() as connection:
        await connection.execute("CREATE DATABASE theirs")
        await connection.execute("CREATE ROLE their_role")
        try:
            async with Cluster.server(f"postgresql://postgres@/postgres?host={cluster.host}") as given:
                await given.roles("given_owner", "given_runtime")
                with pytest.raises(DatabaseError, match="their_role"):
                    await given.roles("their_role", "their_role")
                base = given.name("left_behind")
                async with await given.admin() as ours:
                    await ours.execute(f"CREATE DATABASE {base} OWNER given_owner IS_TEMPLATE true")
                async with Databases(given) as databases:
                    with pytest.raises(DatabaseError, match="not made by this check"):
                        await databases.drop("theirs")
            names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
            assert ("theirs",) in names
            assert (base,) not in names
            roles = await (await connection.execute("SELECT rolname FROM pg_roles")).fetchall()
            assert ("their_role",) in roles
            assert ("given_owner",) not in roles
        finally:
            await connection.execute("DROP DATABASE theirs")
            await connection.execute("DROP ROLE their_role")


async def test_a_database_that_does_not_exist_is_named(cluster: Cluster) -> None:
    with pytest.raises(DatabaseError, match="no_such_database"):
        await cluster.admin("no_such_database")


@pytest.mark.system
@pytest.mark.skipif(not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")), reason="no PostgreSQL is installed")
async def test_the_machine_s_own_postgresql_is_started_privately() -> None:
    async with Cluster.system() as cluster:
        async with await cluster.admin() as connection:
            assert await value(connection, "SELECT 1") == 1
        assert "plpgsql" in await cluster.available_extensions()
        home = Path(cluster.host)
    assert is_empty(home)


async def test_an_unknown_major_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(DatabaseError, match="Install the server package"):
        async with Cluster.system(major=7):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another account")
async def test_a_closed_directory_is_not_opened_to_everyone(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with Cluster.embedded(closed) as cluster:
        assert not Path(cluster.host).is_relative_to(closed)
    assert closed.stat().st_mode & 0o777 == 0o700


async def test_ctrl_c_in_the_terminal_does_not_end_the_server_before_the_check() -> None:
    async with Cluster.embedded() as cluster:
        server = postmaster(Path(cluster.host))
        assert os.getpgid(server.pid) != os.getpgid(0)
        async with await cluster.admin() as connection:
            assert await value(connection, "SELECT 1") == 1


# -- the data directory ----------------------------------------------------------------------------------------------


async def identifier() -> object:
    """What initdb gives a cluster once and for all."""
    async with Cluster.embedded() as cluster, await cluster.admin() as connection:
        return await value(connection, "SELECT system_identifier FROM pg_control_system()")


async def test_a_data_directory_is_made_once_and_copied_from_then_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = await identifier()
    [kept] = (tmp_path / "holdtrue" / "postgres").iterdir()
    assert not (kept / "postmaster.pid").exists()
    assert await identifier() == first
    assert [kept] == list(kept.parent.iterdir())


async def test_a_copy_that_cannot_be_read_or_kept_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = await identifier()
    [kept] = (tmp_path / "holdtrue" / "postgres").iterdir()
    for path in kept.iterdir():
        path.rename(tmp_path / path.name)
    kept.rmdir()
    kept.symlink_to(tmp_path / "nowhere")
    assert await identifier() != first
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/no/directory")
    assert await identifier() != first


async def test_a_damaged_copy_fails_once_and_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = await identifier()
    [kept] = (tmp_path / "holdtrue" / "postgres").iterdir()
    (kept / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(DatabaseError, match="did not start"):
        await identifier()
    assert await identifier() != first


async def test_clusters_that_start_at_once_with_nothing_kept_all_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert len(set(await asyncio.gather(identifier(), identifier(), identifier()))) == 3
    assert len(list((tmp_path / "holdtrue" / "postgres").iterdir())) == 1
