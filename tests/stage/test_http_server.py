"""The server under the doubles: it answers, drops, hangs and closes cleanly, over TLS under any host name."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from holdtrue.stage.http import Authority, Drop, Handler, HttpServer, Request, Response


@asynccontextmanager
async def serving(handle: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    server = HttpServer(handle, tls=tls)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def echo(request: Request) -> Response:
    body = f"{request.method} {request.path}?{request.query} {request.header('x-a')} ".encode() + request.body
    return Response(status=201, headers=(("X-B", "b"),), body=body)


async def test_a_request_reaches_the_handler_whole_and_the_answer_comes_back() -> None:
    async with serving(echo) as server, httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.post("/v1/things", params={"q": "1"}, headers={"X-A": "a"}, content=b"body")

    assert (answer.status_code, answer.headers["x-b"], answer.text) == (201, "b", "POST /v1/things?q=1 a body")


async def test_one_connection_carries_several_requests_and_chunked_bodies() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with serving(echo) as server, httpx.AsyncClient(base_url=server.url) as client:
        answers = [await client.post("/", content=pieces()) for _ in range(3)]

    assert [answer.text for answer in answers] == ["POST /? None onetwo"] * 3


async def test_it_is_known_that_a_client_waits(tmp_path: Path) -> None:
    """From the handshake on, until it has its answer; one that keeps its connection waits for nothing."""
    known: list[bool] = []

    async def look(request: Request) -> Response:
        known.append(server.awaited)
        return Response(status=200)

    authority = Authority(tmp_path)
    tls = authority.server_context("127.0.0.1", "stage.test")
    tls.sni_callback = lambda *_: known.append(server.awaited)
    trusting = authority.client_context()
    async with serving(look, tls) as server, httpx.AsyncClient(base_url=server.url, verify=trusting) as client:
        for _ in range(2):
            await client.get("/", extensions={"sni_hostname": "stage.test"})
            assert not server.awaited
    assert known == [True] * 3, "in the handshake, and in each request"


async def test_who_speaks_no_tls_is_let_go(tmp_path: Path) -> None:
    async with serving(echo, Authority(tmp_path).server_context("127.0.0.1")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
        await writer.wait_closed()
        assert not server.awaited


async def test_a_dropped_request_ends_without_an_answer() -> None:
    async def drop(request: Request) -> Drop:
        return Drop()

    async with serving(drop) as server, httpx.AsyncClient(base_url=server.url) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.get("/")


async def test_a_handler_that_hangs_answers_when_it_is_released_and_other_clients_do_not_wait() -> None:
    arrived, released = asyncio.Event(), asyncio.Event()

    async def sometimes(request: Request) -> Response:
        if request.path == "/slow":
            arrived.set()
            await released.wait()
        return Response(status=200, body=request.path.encode())

    async with serving(sometimes) as server, httpx.AsyncClient(base_url=server.url) as client:
        slow = asyncio.create_task(client.get("/slow"))
        await arrived.wait()
        assert (await client.get("/fast")).text == "/fast"
        assert not slow.done()
        released.set()
        assert (await slow).text == "/slow"


async def test_closing_cuts_a_handler_that_hangs() -> None:
    arrived = asyncio.Event()

    async def hang(request: Request) -> Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError("never released")

    async with httpx.AsyncClient() as client:
        async with serving(hang) as server:
            waiting = asyncio.create_task(client.get(server.url))
            await arrived.wait()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await waiting


async def test_a_client_that_does_not_speak_http_is_refused() -> None:
    async with serving(echo) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with serving(echo) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = ("POST / HTTP/1.1", "Host: x", "Content-Length: 2", "Expect: 100-continue", "Connection: close")
        writer.write("\r\n".join((*head, "", "")).encode())
        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ok")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.endswith(b"ok")


async def test_tls_answers_under_the_issued_names_and_only_to_those_who_trust_the_run(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.server_context("api.example.com", "127.0.0.1")
    async with serving(echo, tls) as server:
        async with httpx.AsyncClient(verify=authority.client_context()) as client:
            by_address = await client.get(server.url)
            by_name = await client.get(server.url, extensions={"sni_hostname": "api.example.com"})
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(server.url.replace("127.0.0.1", "localhost"))
        async with httpx.AsyncClient(verify=ssl.create_default_context()) as stranger:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await stranger.get(server.url)

    assert (by_address.status_code, by_name.status_code) == (201, 201)
    assert "PRIVATE KEY" not in authority.ca_file.read_text()


async def test_a_server_that_does_not_listen_says_so() -> None:
    server = HttpServer(echo)
    with pytest.raises(RuntimeError, match=r"await start\(\)"):
        _ = server.port
    async with serving(echo) as listening:
        with pytest.raises(RuntimeError, match="already listens"):
            await listening.start()
