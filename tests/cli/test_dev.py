"""``holdtrue dev``: what it runs, what its pages do, and that one signal ends all of it."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from holdtrue.cli.dev.pages import Pages
from holdtrue.cli.dev.run import environment
from holdtrue.cli.dev.state import Kept
from holdtrue.cli.dev.webhooks import Courier
from holdtrue.contract.document import App, Document, Process
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.stage.http import HttpServer, Request, Response
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import Clock, StripeDouble

from . import composed


def made_double(seed: str = "dev") -> StripeDouble:
    return StripeDouble(authority=None, seed=seed, clock=Clock(lambda: 1_800_000_000.0))


@pytest.fixture
async def stripe() -> AsyncIterator[StripeDouble]:
    double = made_double()
    await double.start()
    yield double
    await double.close()


async def session(stripe: StripeDouble) -> str:
    """A checkout that an app started."""
    form = {
        "mode": "payment",
        "success_url": "https://app.test/paid",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "eur",
        "line_items[0][price_data][unit_amount]": "1500",
        "line_items[0][price_data][product_data][name]": "<b>Room</b>",
    }
    async with httpx.AsyncClient(auth=(stripe.secret_key, "")) as client:
        answer = await client.post(f"{stripe.url}/v1/checkout/sessions", data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.fixture
async def page(stripe: StripeDouble) -> AsyncIterator[httpx.AsyncClient]:
    async with MailServer() as mail:
        raw = b"From: a@b.test\r\nSubject: <i>Hi</i>\r\n\r\nOpen https://app.test/#token=x <script>\r\n"
        mail.store(raw, mail.begin_attempt(), "a@b.test", ["ann@b.test"])
        pages = Pages(mail, stripe, "http://127.0.0.1:8000", lambda: None)
        server = HttpServer(pages)
        await server.start()
        pages.port = server.port
        async with httpx.AsyncClient(base_url=server.url) as client:
            yield client
        await server.close()


# -- pages ------------------------------------------------------------------------------------------------------------


async def test_a_mail_is_shown_with_its_links_and_nothing_of_it_runs(page: httpx.AsyncClient) -> None:
    assert "&lt;i&gt;Hi&lt;/i&gt;" in (await page.get("/")).text
    answer = await page.get("/mail/1")
    assert "<a href='https://app.test/#token=x'>" in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "<script>" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await page.get("/mail/2")).status_code == 404


async def test_the_customer_pays_at_a_button_once(page: httpx.AsyncClient, stripe: StripeDouble) -> None:
    made = await session(stripe)
    (token,) = set(re.findall(r"name='token' value='([^']+)'", (await page.get("/")).text))
    answers = [await page.post(f"/stripe/{made}/pay", data={"token": token}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 409]
    assert stripe.latest("checkout.session")["payment_status"] == "paid"


async def test_another_sites_page_can_press_no_button(page: httpx.AsyncClient, stripe: StripeDouble) -> None:
    made = await session(stripe)
    assert (await page.post(f"/stripe/{made}/pay", data={"token": "guessed"})).status_code == 403
    assert (await page.post(f"/stripe/{made}/pay")).status_code == 403
    assert (await page.get("/", headers={"Host": "evil.test"})).status_code == 421
    assert stripe.latest("checkout.session")["status"] == "open"


# -- webhooks ---------------------------------------------------------------------------------------------------------


async def test_events_come_in_order_and_again_until_they_are_taken(stripe: StripeDouble) -> None:
    stripe.customer.pay(await session(stripe))
    taken: list[int] = []
    answers = [503, *[200] * 50]

    async def receive(request: Request) -> Response:
        assert request.header("stripe-signature")
        taken.append(answers.pop(0))
        return Response(status=taken[-1])

    server = HttpServer(receive)
    await server.start()
    told: list[str] = []
    courier = Courier(stripe, f"{server.url}/webhooks/stripe", told.append)
    async with httpx.AsyncClient() as client:
        assert not await courier.round(client)
        assert await courier.round(client)
        assert await courier.round(client)
    await server.close()
    assert taken == [503, *[200] * len(stripe.events)]
    assert "was not taken (503)" in told[0]


# -- what is kept -----------------------------------------------------------------------------------------------------


async def test_the_double_knows_next_time_what_it_knew(tmp_path: Path, stripe: StripeDouble) -> None:
    made = await session(stripe)
    stripe.customer.pay(made)
    with Kept.of(tmp_path) as kept:
        kept.save(stripe)
        again = made_double()
        assert kept.restore(again) == ""
        assert again.sessions == stripe.sessions
        assert [event.id for event in again.events] == [event.id for event in stripe.events]
        (kept.directory / "stripe.json").write_text("{}")
        assert "begins anew" in kept.restore(made_double())
        assert kept.root() == kept.root()


def test_two_runs_in_one_directory_are_refused(tmp_path: Path) -> None:
    with Kept.of(tmp_path), pytest.raises(UsageError, match="runs already"), Kept.of(tmp_path):
        pass


# -- the environment --------------------------------------------------------------------------------------------------


def made_environment(tmp_path: Path, env: dict[str, str]) -> dict[str, str]:
    document = Document(app=App(name="a"), process=Process(asgi="a:b", env=env))
    urls = {"postgres_url": "postgresql://ours", "postgres_owner_url": "postgresql://owner"}
    with Kept.of(tmp_path) as kept:
        return environment(document, kept, urls, MailServer(), None, 8000, tmp_path)[0]


def test_addresses_of_a_rehearsal_become_the_runs_own_and_env_is_read_over_them(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nexport TITLE='Mine'\nDATABASE_URL=postgresql://production\nEMPTY=\n")
    env = {"DATABASE_URL": "{postgres_url}", "PUBLIC_URL": "https://app.example.test/join", "TITLE": "x"}
    made = made_environment(tmp_path, env)
    assert made["PUBLIC_URL"] == "http://127.0.0.1:8000/join"
    assert made["TITLE"] == "Mine"
    assert made["DATABASE_URL"] == "postgresql://ours"


def test_a_live_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STRIPE=sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc\n")
    with pytest.raises(HoldtrueError, match="live Stripe"):
        made_environment(tmp_path, {})


# -- the whole --------------------------------------------------------------------------------------------------------


class Run:
    """``holdtrue dev`` in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.told = ""

    async def __aenter__(self) -> Run:
        main = "from holdtrue.cli.main import main; main()"
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", main, "dev", str(self._directory)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def until(self, pattern: str) -> re.Match[str]:
        """Wait until it says this."""
        assert self._process.stdout is not None
        while (found := re.search(pattern, self.told)) is None:
            line = await self._process.stdout.readline()
            assert line, self.told
            self.told += line.decode()
        self.told = self.told[found.end() :]
        return found

    async def interrupt(self) -> int:
        """Ctrl-C; returns once nothing of it is left."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGINT)
        await self._process.communicate()
        assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
        return self._process.returncode or 0


@pytest.mark.full
async def test_the_app_runs_starts_again_and_ends_with_all_it_needs(tmp_path: Path) -> None:
    directory = composed.diary(tmp_path)
    headers = {"X-Principal": "ann", "X-Tenant": "0a2037a4-0f9d-4945-bcfc-ceb19123e449"}
    headers["X-Permissions"] = "diary.read diary.write"
    async with Run(directory) as run, httpx.AsyncClient(headers=headers) as client:
        url = (await run.until(r"the app answers at (\S+)"))[1]
        page = (await run.until(r"mails: (\S+) "))[1]
        made = await client.post(f"{url}/pages", json={"text": "kept"})
        assert made.status_code == 201, made.text
        assert (await client.get(page)).status_code == 200
        composed.change(directory / "diary/main.py", 'page.text + "!"', 'page.text + "?"')
        await run.until(r"changed: diary/main\.py")
        await run.until(r"the app answers at")
        assert (await client.post(f"{url}/pages", json={"text": "new"})).json()["text"] == "new?"
        assert await run.interrupt() == 0
    async with Run(directory) as run, httpx.AsyncClient(headers=headers) as client:
        url = (await run.until(r"the app answers at (\S+)"))[1]
        assert (await client.get(f"{url}/pages/{made.json()['id']}")).json()["text"] == "kept!"
        assert await run.interrupt() == 0
