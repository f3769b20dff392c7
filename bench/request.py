"""What the build tower costs: a route of examples/shop, and the same statement written by hand without any of it.

Usage: python bench/request.py [ROUNDS [CLIENTS]]

Two uvicorn processes on one embedded PostgreSQL take turns of a second each. The shop's routes ask who is there (access
token, live membership), enter the tenant, run in a unit of work, and the writing one keeps an event, its outbox row and
its audit row. The other app is FastAPI and SQLAlchemy async with the same columns and the same pool, and nothing else.
Prints what a request says to the database and how often it waits for it, and for each route requests per second, their
ratio, p50 and p99.
"""

import asyncio
import importlib
import json
import logging
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

SHOP = Path(__file__).parents[1] / "examples" / "shop"
sys.path.insert(0, str(SHOP))

import httpx  # noqa: E402
from shop.main import assembly  # noqa: E402
from sqlalchemy import event  # noqa: E402
from sqlalchemy.engine.interfaces import DBAPIConnection  # noqa: E402
from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: E402

from holdtrue.assembly.testing import Kit, Postgres, running  # noqa: E402
from holdtrue.stage.mail import MailServer  # noqa: E402

ROUNDS, CLIENTS, TURN = 6, 8, 1.0
POOL = "8"
BODY = json.dumps({"name": "Mug", "description": "", "price_cents": 1500, "currency": "eur"}).encode()
ENVIRON = {
    "AUTH_SECRET_KEY": secrets.token_urlsafe(32),
    "AUTH_PUBLIC_URL": "https://shop.example",
    "AUTH_ACCESS_SECONDS": "590",
    "TENANCY_ACCEPT_URL": "https://shop.example/join",
    "PAYMENTS_RETURN_URL": "https://shop.example/paid",
    "PAYMENTS_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
    "PAYMENTS_STRIPE_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(16)}",
    "EMAIL_SENDER": "post@shop.example",
    "EMAIL_SEAL_KEYS": secrets.token_urlsafe(32),
    "EMAIL_SMTP_HOST": "127.0.0.1",
    "EMAIL_SMTP_SECURITY": "none",
    "HOLDTRUE_POOL_SIZE": POOL,
}
PLAIN = """
import os
from uuid import UUID, uuid4
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["PLAIN_URL"], pool_size=int(os.environ["POOL"]), max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()

class Base(DeclarativeBase): ...

class Product(Base):
    __tablename__ = "plain_products"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    description: Mapped[str]
    price_cents: Mapped[int]
    currency: Mapped[str]

class ProductIn(BaseModel):
    name: str
    description: str = ""
    price_cents: int
    currency: str

class ProductOut(ProductIn):
    model_config = ConfigDict(from_attributes=True)
    id: UUID

TENANT = UUID(int=1)

@app.post("/products", status_code=201)
async def create(body: ProductIn) -> ProductOut:
    async with sessions() as session, session.begin():
        product = Product(tenant_id=TENANT, **body.model_dump())
        session.add(product)
        await session.flush()
        return ProductOut.model_validate(product)

@app.get("/products/{product_id}")
async def read(product_id: UUID) -> ProductOut:
    async with sessions() as session, session.begin():
        found = await session.get(Product, (TENANT, product_id))
        if found is None:
            raise HTTPException(404)
        return ProductOut.model_validate(found)
"""


class Client:
    """HTTP/1.1 on kept-alive sockets, with as little work as possible: it shares the machine with the servers."""

    def __init__(self, port: int, headers: str = "") -> None:
        self._port = port
        self._headers = headers

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        told = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{self._headers}{told}\r\n".encode() + body

    async def load(self, request: bytes, wanted: int, clients: int, seconds: float) -> list[float]:
        """Seconds of each request, from so many clients at once, each one after the other."""
        until, times = time.perf_counter() + seconds, list[float]()

        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            while (began := time.perf_counter()) < until:
                writer.write(request)
                status, _ = await answer(reader)
                assert status == wanted, status
                times.append(time.perf_counter() - began)
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(one() for _ in range(clients)))
        return times

    async def once(self, request: bytes) -> dict[str, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        status, body = await answer(reader)
        writer.close()
        assert status < 300, body
        return json.loads(body)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return int(head[9:12]), await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def server(folder: Path, target: str, environ: dict[str, str]) -> AsyncIterator[int]:
    """A uvicorn process, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", target, "--port", str(port), "--no-access-log", "--log-level", "warning"),
        cwd=folder,
        env=os.environ | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                assert process.returncode is None
                await asyncio.sleep(0.1)
        yield port
    finally:
        process.terminate()
        await process.wait()


def shown(name: str, shop: list[list[float]], plain: list[list[float]]) -> None:
    rates = [len(each) / TURN for each in shop], [len(each) / TURN for each in plain]
    ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
    for who, turns, rate in (("shop", shop, rates[0]), ("by hand", plain, rates[1])):
        times = sorted(each for turn in turns for each in turn)
        p50, p99 = (times[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
        print(f"{name:<22}{who:<9}{statistics.median(rate):>8.0f}/s{p50:>9.2f} ms{p99:>9.2f} ms")
    print(f"{name:<22}{'ratio':<9}{ratio:>8.2f}")


async def sign_in(kit: Kit, mail: MailServer) -> str:
    """An owner of a shop of their own."""
    post = kit.client.post
    await post("/auth/sign-up", json={"email": "ann@shop.test"})
    await kit.work()
    (token,) = re.findall(r"#token=([\w-]+)", mail.mails[-1].text or "")
    told = (await post("/auth/sign-up/complete", json={"token": token, "password": "correct horse battery"})).json()
    header = f"Bearer {told['access_token']}"
    made = await post("/tenants", json={"name": "Ann's", "slug": "anns"}, headers={"Authorization": header})
    assert made.status_code == 201, made.text
    return header


async def counted(name: str, engine: AsyncEngine, *asks: Callable[[], Awaitable[httpx.Response]]) -> None:
    """What a warm request sends to the database, and how often it waits for an answer, by libpq's own trace."""
    for ask in asks:
        for _ in range(12):  # until its statements are prepared
            assert (await ask()).is_success
        with tempfile.TemporaryFile("w+") as trace:

            def note(connection: DBAPIConnection, *_: object, into: int = trace.fileno()) -> None:
                connection.driver_connection.pgconn.trace(into)

            def leave(connection: DBAPIConnection, *_: object) -> None:
                connection.driver_connection.pgconn.untrace()

            event.listen(engine.sync_engine, "checkout", note)
            event.listen(engine.sync_engine, "checkin", leave)
            asked = (await ask()).request
            event.remove(engine.sync_engine, "checkout", note)
            event.remove(engine.sync_engine, "checkin", leave)
            trace.seek(0)
            told = trace.read()
        said = re.findall(r'CommandComplete\s+"(\w+)', told)
        trips = told.count("ReadyForQuery")
        print(f"{asked.method:<6}{name:<9}{len(said)} statements ({' · '.join(said)}) in {trips} round trips")


async def main(rounds: int, clients: int) -> None:
    with Postgres.start() as postgres:
        async with MailServer() as mail:
            environ = ENVIRON | {"EMAIL_SMTP_PORT": str(mail.port)}
            async with running(assembly, postgres, environ=environ) as kit:
                bearer = await sign_in(kit, mail)
                await kit.sql(
                    "CREATE TABLE plain_products (tenant_id uuid, id uuid, name text, description text, "
                    "price_cents bigint, currency text, PRIMARY KEY (tenant_id, id)); "
                    "GRANT ALL ON plain_products TO PUBLIC"
                )
                with tempfile.TemporaryDirectory() as folder:
                    plain = Path(folder, "plain.py")
                    plain.write_text(PLAIN)  # noqa: ASYNC240 - before anything is measured
                    os.environ |= {
                        "PLAIN_URL": kit.urls.app.replace("postgresql:", "postgresql+psycopg:"),
                        "POOL": POOL,
                    }
                    sys.path.insert(0, folder)
                    await both_counted(kit, bearer)
                    await measured(plain, environ | {"DATABASE_URL": kit.urls.app}, bearer, rounds, clients)


async def both_counted(kit: Kit, bearer: str) -> None:
    plain = importlib.import_module("plain")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(plain.app), base_url="http://bench") as client:
        told = {"Authorization": bearer}
        for name, engine, http, headers in (
            ("shop", kit.process.services.database.engine, kit.client, told),
            ("by hand", plain.engine, client, {}),
        ):
            post = partial(http.post, "/products", json=json.loads(BODY), headers=headers)
            made = (await post()).json()
            await counted(name, engine, post, partial(http.get, f"/products/{made['id']}", headers=headers))
    await plain.engine.dispose()


async def measured(plain: Path, environ: dict[str, str], bearer: str, rounds: int, clients: int) -> None:
    async with (
        server(SHOP, "shop.main:app", environ) as ours,
        server(plain.parent, "plain:app", {}) as theirs,
    ):
        both = Client(ours, f"Authorization: {bearer}\r\n"), Client(theirs)
        print(f"{'':<31}{'median':>10}{'p50':>12}{'p99':>12}   {clients} clients")
        posts = [client.request("POST", "/products", BODY) for client in both]
        made = [await client.once(post) for client, post in zip(both, posts, strict=True)]
        gets = [client.request("GET", f"/products/{each['id']}") for client, each in zip(both, made, strict=True)]
        for name, requests, wanted in (("POST /products", posts, 201), ("GET /products/{id}", gets, 200)):
            turns: tuple[list[list[float]], list[list[float]]] = ([], [])
            for number in range(rounds + 1):
                for client, request, kept in zip(both, requests, turns, strict=True):
                    times = await client.load(request, wanted, clients, TURN)
                    if number:  # the first turn warms up
                        kept.append(times)
            shown(name, *turns)


if __name__ == "__main__":
    logging.disable()
    numbers = [int(each) for each in sys.argv[1:]]
    asyncio.run(main(*numbers, *(ROUNDS, CLIENTS)[len(numbers) :]))
