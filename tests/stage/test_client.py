"""The client of a rehearsal tells every way of answering, and of not answering."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from holdtrue.stage.client import Answer, Client
from holdtrue.stage.http import Drop, HttpServer, Request, Response


@asynccontextmanager
async def server(answer: Response | Drop) -> AsyncIterator[int]:
    async def handle(_: Request) -> Response | Drop:
        return answer

    served = HttpServer(handle)
    await served.start()
    try:
        yield served.port
    finally:
        await served.close()


async def test_an_app_that_drops_the_connection_has_failed_and_not_refused() -> None:
    async with server(Drop()) as port, Client() as client:
        answer = await client.send(port, "GET", "/")
    assert answer.status is None
    assert answer.failed
    assert not answer.admitted
    assert "connection lost" in answer.describe()


async def test_a_redirect_succeeds_but_admits_nobody() -> None:
    async with server(Response(status=303, headers=(("location", "/login"),), body=b"")) as port, Client() as client:
        answer = await client.send(port, "POST", "/orders", form={"a": "b"})
    assert answer.succeeded
    assert not answer.admitted


def test_captures_come_from_body_header_and_cookie() -> None:
    headers = httpx.Headers([("Location", "/orders/7"), ("Set-Cookie", "sid=abc; Path=/; HttpOnly")])
    answer = Answer(status=201, headers=headers, body=b'{"items": [{"id": 7, "role": "viewer"}]}')
    assert answer.capture("items[?role=='viewer'].id | [0]") == 7
    assert answer.capture("header:Location") == "/orders/7"
    assert answer.capture("cookie:sid") == "abc"
    assert answer.capture("nothing.there") is None
    assert answer.capture("not a ][ path") is None


async def test_a_cookie_that_one_answer_sets_is_not_sent_with_the_next_request() -> None:
    asked: list[Request] = []

    async def handle(request: Request) -> Response:
        asked.append(request)
        return Response(status=200, headers=(("set-cookie", "session=abc; Path=/"),), body=b"")

    served = HttpServer(handle)
    await served.start()
    try:
        async with Client() as client:
            answer = await client.send(served.port, "POST", "/login")
            await client.send(served.port, "GET", "/me")
            await client.send(served.port, "GET", "/me", headers={"Cookie": "own=1"})
    finally:
        await served.close()
    assert answer.capture("cookie:session") == "abc"
    assert [request.header("cookie") for request in asked] == [None, None, "own=1"]
