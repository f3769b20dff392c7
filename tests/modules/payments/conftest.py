"""A kiosk with payments on a real PostgreSQL, and the stage's Stripe double on the other side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from modules.payments.kiosk import assembled

from holdtrue.assembly.testing import Postgres, running
from holdtrue.stage.payments import Clock, Event, StripeDouble

ALL = "payments.read payments.pay payments.subscribe payments.refund payments.approve"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.fixture
async def stripe() -> AsyncIterator[StripeDouble]:
    began = datetime.now(UTC).timestamp()
    double = StripeDouble(authority=None, seed="kiosk", clock=Clock(lambda: began))
    await double.start()
    yield double
    await double.close()
    assert double.crashes == []
    assert [each for each in double.unmodelled if "[metadata]" not in each] == []


class Shop:
    """One tenant of the kiosk, its customers, and Stripe."""

    def __init__(self, kit: Any, stripe: StripeDouble, tenant: UUID) -> None:
        self.kit = kit
        self.stripe = stripe
        self.tenant = tenant

    async def call(
        self, method: str, path: str, body: Any = None, *, who: str = "ann", may: str = ALL, **headers: str
    ) -> httpx.Response:
        told = {"X-Principal": who, "X-Tenant": str(self.tenant), "X-Permissions": may} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.kit.client.request(method, path, json=body, headers=told)

    async def order(self, price: int = 4000) -> str:
        order = uuid4()
        await self.kit.sql(
            "INSERT INTO orders (tenant_id, id, price, status, granted) VALUES (%s, %s, %s, 'pending', 0)",
            *(self.tenant, order, price),
        )
        return str(order)

    async def session(self, order: str) -> str:
        answer = await self.call("POST", "/payments/checkouts", {"reference": order})
        assert answer.status_code == 201, answer.text
        return str(self.stripe.sessions[-1]["id"])

    async def deliver(self, event: Event, **how: Any) -> httpx.Response:
        return await self.post(self.stripe.webhooks.delivery(event, **how))

    async def post(self, delivery: Any) -> httpx.Response:
        return await self.kit.client.post("/webhooks/stripe", content=delivery.body, headers=dict(delivery.headers))

    async def happen(self, events: Iterable[Event]) -> None:
        """Deliver, and do the work."""
        for event in events:
            answer = await self.deliver(event)
            assert answer.status_code == 200, answer.text
        await self.kit.work()

    async def sold(self, price: int = 4000) -> tuple[str, str]:
        """A paid order: its id, and the payment's."""
        order = await self.order(price)
        await self.happen(self.stripe.customer.pay(await self.session(order)))
        rows = await self.kit.sql("SELECT id FROM payments WHERE reference = %s", order)
        return order, str(rows[0]["id"])

    async def rows(self, table: str, columns: str = "*") -> list[dict[str, Any]]:
        return await self.kit.sql(f"SELECT {columns} FROM {table} ORDER BY created_at, id")

    async def one(self, statement: str, *values: object) -> Any:
        rows = await self.kit.sql(statement, *values)
        assert len(rows) == 1, rows
        return next(iter(rows[0].values()))

    async def status(self, order: str) -> tuple[str, int]:
        rows = await self.kit.sql("SELECT status, granted FROM orders WHERE id = %s", order)
        return rows[0]["status"], rows[0]["granted"]

    async def audited(self) -> list[str]:
        return [row["action"] for row in await self.kit.sql("SELECT action FROM doors_audit ORDER BY created_at, id")]

    def refunded(self) -> int:
        return sum(r["amount"] for r in self.stripe.all("refund") if r["status"] in ("succeeded", "pending"))


@pytest.fixture
async def shop(postgres: Postgres, stripe: StripeDouble) -> AsyncIterator[Shop]:
    def clock() -> datetime:
        """Stripe's, so that both can be moved."""
        return datetime.fromtimestamp(stripe.world.clock.now(), UTC)

    async with running(assembled(), postgres, environ=environ(stripe), clock=clock) as kit:
        yield Shop(kit, stripe, uuid4())


def environ(stripe: StripeDouble, **more: str) -> dict[str, str]:
    return {
        "PAYMENTS_STRIPE_API_KEY": stripe.secret_key,
        "PAYMENTS_STRIPE_WEBHOOK_SECRETS": f"whsec_{'old' * 8},{stripe.webhook_secret}",
        "PAYMENTS_RETURN_URL": "https://kiosk.example/paid",
        "PAYMENTS_STRIPE_API_BASE": stripe.url,
        "PAYMENTS_STRIPE_RETRIES": "0",
        **more,
    }
