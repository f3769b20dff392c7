"""The shop on a real PostgreSQL, with a mail server and a Stripe double on loopback."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from shop.main import assembly

from holdtrue.assembly.testing import Kit, Postgres, running
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import Clock, StripeDouble

PASSWORD = "correct horse battery staple"
ENVIRON = {
    "AUTH_SECRET_KEY": "x7Qm4Zr6Tn8Wk1Xp3Yv5Bs7Ld9Gf2Hj0Ua",
    "AUTH_PUBLIC_URL": "https://shop.example",
    "TENANCY_ACCEPT_URL": "https://shop.example/join",
    "PAYMENTS_RETURN_URL": "https://shop.example/paid",
    "EMAIL_SENDER": "Shop <post@shop.example>",
    "EMAIL_SEAL_KEYS": "k5Jw8cUqB1zYt7Ns3VbLd9RfKe2HxGm0Pa",
    "EMAIL_SMTP_HOST": "127.0.0.1",
    "EMAIL_SMTP_SECURITY": "none",
}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@dataclass
class World:
    kit: Kit
    stripe: StripeDouble
    mail: MailServer
    tokens: dict[str, str] = field(default_factory=dict)

    async def call(self, who: str, method: str, path: str, body: object = None, status: int | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        answer = await self.kit.client.request(method, path, json=body, headers=headers)
        assert status is None or answer.status_code == status, answer.text
        return answer if status is None else (answer.json() if answer.content else None)

    def mailed(self, to: str, pattern: str = "") -> list[str]:
        """What was mailed to somebody, or what the pattern finds in it."""
        texts = [each.text for each in self.mail.mails if to in each.recipients]
        return [found[1] for text in texts if (found := re.search(pattern, text))] if pattern else texts

    async def arrive(self, who: str) -> None:
        """Sign up, by the mailed link."""
        await self.call("", "POST", "/auth/sign-up", {"email": f"{who}@shop.test"}, 202)
        await self.kit.work()
        token = self.mailed(f"{who}@shop.test", r"#token=([\w-]+)")[-1]
        body = {"token": token, "password": PASSWORD}
        self.tokens[who] = (await self.call("", "POST", "/auth/sign-up/complete", body, 201))["access_token"]

    async def open_shop(self, who: str = "ann", slug: str = "anns") -> None:
        await self.arrive(who)
        await self.call(who, "POST", "/tenants", {"name": "Ann's", "slug": slug}, 201)
        await self.kit.work()

    async def join(self, who: str, role: str, by: str = "ann") -> httpx.Response:
        body = {"email": f"{who}@shop.test", "role": role}
        await self.call(by, "POST", "/members/invitations", body, 201)
        await self.kit.work()
        await self.arrive(who)
        token = self.mailed(f"{who}@shop.test", r"#invitation=([\w-]+)")[-1]
        return await self.call(who, "POST", "/members/accept", {"token": token})

    async def order(self, who: str = "ann", price: int = 1500, quantity: int = 2) -> str:
        product = await self.call(
            who, "POST", "/products", {"name": "Mug", "price_cents": price, "currency": "eur"}, 201
        )
        items = [{"product_id": product["id"], "quantity": quantity}]
        body = {"customer_email": "eve@customer.test", "items": items}
        return (await self.call(who, "POST", "/orders", body, 201))["id"]

    async def pay(self, order: str, who: str = "ann") -> None:
        await self.call(who, "POST", "/payments/checkouts", {"reference": order}, 201)
        await self.happen(self.stripe.customer.pay(self.stripe.sessions[-1]["id"]))

    async def happen(self, events: Any) -> None:
        for event in events:
            delivery = self.stripe.webhooks.delivery(event)
            answer = await self.kit.client.post(
                "/webhooks/stripe", content=delivery.body, headers=dict(delivery.headers)
            )
            assert answer.status_code == 200, answer.text
        await self.kit.work()


@pytest.fixture
async def world(postgres: Postgres) -> AsyncIterator[World]:
    stripe = StripeDouble(authority=None, seed="shop", clock=Clock(time.time))
    await stripe.start()
    async with MailServer() as mail:
        told = {
            "EMAIL_SMTP_PORT": str(mail.port),
            "PAYMENTS_STRIPE_API_KEY": stripe.secret_key,
            "PAYMENTS_STRIPE_WEBHOOK_SECRETS": stripe.webhook_secret,
            "PAYMENTS_STRIPE_API_BASE": stripe.url,
        }
        async with running(assembly, postgres, environ=ENVIRON | told) as kit:
            yield World(kit, stripe, mail)
    await stripe.close()
