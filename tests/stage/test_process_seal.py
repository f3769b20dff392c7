"""Whatever an app is made of, the kernel lets it connect nowhere outside this machine."""

import asyncio
import shutil
import socket
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from holdtrue.stage.process import AppProcess, Egress

# Documentation addresses (RFC 5737): nobody is there, so a connection that is not refused ends in a timeout.
SOMEBODY = "203.0.113.7"


class Sealed:
    """Runs scripts without the hooks of the redirection (``-I``), so that only the kernel stands in the way."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.egress = Egress(scratch / "egress.jsonl")
        self.process: AppProcess | None = None

    async def python(self, code: str) -> list[str]:
        return await self.command(sys.executable, "-I", "-c", textwrap.dedent(code))

    async def command(self, *command: str, sealed: bool = True) -> list[str]:
        self.process = AppProcess(
            "app",
            command,
            cwd=self.scratch,
            env={"HOLDTRUE_STAGE_EGRESS": str(self.egress.path), "PATH": "/usr/bin:/bin"},
            log_path=self.scratch / "log",
            sealed=sealed,
        )
        await self.process.start()
        if sealed and not self.process.sealed:
            pytest.skip("this kernel or container offers no seccomp notifications")
        await self.process.wait()
        return self.process.log().splitlines()

    def attempts(self) -> list[tuple[str, int | None, str]]:
        return [(attempt.host, attempt.port, attempt.kind) for attempt in self.egress.attempts()]


@pytest.fixture
async def sealed(tmp_path: Path) -> AsyncIterator[Sealed]:
    sealed = Sealed(tmp_path)
    yield sealed
    if sealed.process is not None:
        await sealed.process.kill()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_addresses_elsewhere_are_refused_and_recorded(sealed: Sealed) -> None:
    said = await sealed.python(f"""
        import socket
        for family, address in ((socket.AF_INET, ("{SOMEBODY}", 443)), (socket.AF_INET6, ("2001:db8::1", 5432))):
            with socket.socket(family) as s:
                s.settimeout(30)
                try:
                    s.connect(address)
                except OSError as error:
                    print(type(error).__name__)
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            try:
                s.sendto(b"x", ("{SOMEBODY}", 123))
            except OSError as error:
                print(type(error).__name__)
    """)
    assert said == ["ConnectionRefusedError"] * 3
    assert sealed.attempts() == [
        (SOMEBODY, 443, "connection"),
        ("2001:db8::1", 5432, "connection"),
        (SOMEBODY, 123, "connection"),
    ]


async def test_this_machine_is_reached(sealed: Sealed, port: int) -> None:
    said = await sealed.python(f"""
        import socket, tempfile
        for host in ("127.0.0.1", "127.1.2.3", "::ffff:127.0.0.1", "0.0.0.0"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family) as s:
                error = s.connect_ex((host, {port}))
                print(error if host != "127.1.2.3" else "loopback")
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as server:
            server.bind(place + "/s")
            server.listen()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(place + "/s")
        here, there = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
        here.bind(("127.0.0.1", 0))
        there.sendto(b"local", here.getsockname())
        print(here.recv(9))
    """)
    assert said == ["0", "loopback", "0", "0", "b'local'"]
    assert sealed.attempts() == []


async def test_libpq_which_connects_in_c_is_refused(sealed: Sealed) -> None:
    assert psycopg.pq.__impl__ in ("binary", "c", "python")
    said = await sealed.python(f"""
        import psycopg
        try:
            psycopg.connect("host={SOMEBODY} dbname=production connect_timeout=30")
        except psycopg.OperationalError as error:
            print("refused" in str(error))
        try:
            psycopg.connect("host=/tmp dbname=production connect_timeout=30")
        except psycopg.OperationalError as error:
            print("refused" in str(error))
    """)
    assert said == ["True", "True"]
    assert sealed.attempts() == [(SOMEBODY, 5432, "connection"), ("/tmp/.s.PGSQL.5432", None, "connection")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on PATH")
async def test_other_languages_and_what_they_fork_are_refused(sealed: Sealed, port: int) -> None:
    away = f"(exec 3<>/dev/tcp/{SOMEBODY}/25) 2>/dev/null || echo refused"
    here = f"(exec 3<>/dev/tcp/127.0.0.1/{port}) && echo here"
    assert await sealed.command("bash", "-c", f"{away}; {here}") == ["refused", "here"]
    assert sealed.attempts() == [(SOMEBODY, 25, "connection")]


async def test_look_ups_leave_neither_directly_nor_through_a_local_resolver(sealed: Sealed) -> None:
    said = await sealed.python("""
        import socket
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            print(s.connect_ex(("127.0.0.53", 53)) != 0)
        try:
            socket.getaddrinfo("db.prod.example", 5432)
        except socket.gaierror:
            print("not found")
    """)
    assert said == ["True", "not found"]
    assert ("127.0.0.53", 53, "look-up") in sealed.attempts()
    assert {kind for _, _, kind in sealed.attempts()} == {"look-up"}


async def test_only_what_is_unsealed_may_leave(sealed: Sealed) -> None:
    code = f"""
        import socket
        s = socket.socket(type=socket.SOCK_DGRAM)
        print(s.connect_ex(("{SOMEBODY}", 9)))
    """
    (refused,) = await sealed.python(code)
    assert refused != "0"
    said = await sealed.command(sys.executable, "-I", "-c", textwrap.dedent(code), sealed=False)
    assert sealed.process is not None
    assert not sealed.process.sealed
    # Connecting a datagram socket sends nothing; it succeeds, or there is no route at all on this machine.
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        assert said[-1] == str(ours.connect_ex((SOMEBODY, 9)))


async def test_a_process_can_be_killed_while_it_waits_for_an_answer(sealed: Sealed, port: int) -> None:
    code = f"""
        import socket
        print("up", flush=True)
        while True:
            with socket.socket() as s:
                s.connect_ex(("127.0.0.1", {port}))
    """
    sealed.process = process = AppProcess(
        "app",
        [sys.executable, "-I", "-c", textwrap.dedent(code)],
        cwd=sealed.scratch,
        env={},
        log_path=sealed.scratch / "log",
    )
    await process.start()
    while not process.log():
        assert process.alive
        await asyncio.sleep(0)
    await process.kill()
    assert process.returncode == -9
