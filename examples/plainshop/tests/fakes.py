import json
import re
import smtplib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import stripe
from fastapi.testclient import TestClient
from plainshop.db import Database
from plainshop.settings import Settings
from plainshop.stripe_api import HostedPage, Plan, ProviderRefund
from plainshop.tokens import Tokens
from plainshop.worker.mails import send_next_mail
from plainshop.worker.refunds import send_next_refund
from plainshop.worker.smtp import Rejected

PASSWORD = "correct horse battery staple"


class FakeStripe:
    """Remembers by idempotency key, as Stripe does; raises what is put into `trouble` after having done the work."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self.secrets = secrets
        self.pages: dict[UUID, HostedPage] = {}
        self.asked: list[dict[str, Any]] = []
        self.expired: list[str] = []
        self.refunds: dict[UUID, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.customers: dict[UUID, str] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.trouble: list[Exception] = []
        self.before_answer = lambda: None
        self._lock = threading.Lock()

    def create_session(self, **asked: Any) -> HostedPage:
        with self._lock:
            self.asked.append(asked)
            made = f"cs_test_{uuid4().hex}"
            page = self.pages.setdefault(
                asked["checkout_id"], HostedPage(session_id=made, url=f"https://stripe.example/{made}")
            )
        self._answer()
        return page

    def create_customer(self, *, shop_id: UUID, name: str) -> str:
        with self._lock:
            made = self.customers.setdefault(shop_id, f"cus_{uuid4().hex}")
        self._answer()
        return made

    def create_subscription_session(
        self, *, subscription_id: UUID, customer_id: str, plan: Plan, expires_at: datetime
    ) -> HostedPage:
        asked = {"subscription_id": subscription_id, "customer_id": customer_id, "plan": plan}
        return self.create_session(checkout_id=subscription_id, **asked, expires_at=expires_at)

    def subscription(self, subscription_id: str) -> dict[str, Any] | None:
        self._answer()
        return self.subscriptions.get(subscription_id)

    def expire_session(self, session_id: str) -> None:
        self.expired.append(session_id)

    def refund(self, *, refund_id: UUID, payment_intent: str, amount_cents: int) -> ProviderRefund:
        made = {"id": f"re_{uuid4().hex}", "payment_intent": payment_intent, "amount": amount_cents}
        made |= {"status": "pending", "metadata": {"refund_id": str(refund_id)}}
        made = self.refunds.setdefault(refund_id, made)
        self._answer()
        return ProviderRefund(id=made["id"], status=made["status"])

    def find_refund(self, *, refund_id: UUID, payment_intent: str) -> ProviderRefund | None:
        made = self.refunds.get(refund_id)
        return ProviderRefund(id=made["id"], status=made["status"]) if made else None

    def events_since(self, since: datetime) -> Iterator[dict[str, Any]]:
        return reversed(self.events)

    def _answer(self) -> None:
        self.before_answer()
        if self.trouble:
            raise self.trouble.pop(0)

    def event(self, kind: str, obj: dict[str, Any], **more: Any) -> dict[str, Any]:
        event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "created": 1, "livemode": False}
        event |= {"data": {"object": obj}} | more
        self.events.append(event)
        return event

    def send(self, client: TestClient, event: dict[str, Any], *, secret: str | None = None) -> httpx.Response:
        body = json.dumps(event, indent=3) + "\n"
        signature = stripe.WebhookSignature.generate_signature_header(body, secret or self.secrets[0])
        return client.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": signature})


def part(mail: EmailMessage, kind: str) -> str:
    return mail.get_body((kind,)).get_content()


@dataclass
class FakeSmtp:
    sent: list[EmailMessage] = field(default_factory=list)
    refusals: dict[str, list[int]] = field(default_factory=dict)

    def deliver(self, mail: EmailMessage, recipient: str, settings: Settings) -> None:
        codes = self.refusals.get(recipient)
        if codes:
            code = codes.pop(0)
            if code >= 500:
                raise Rejected(str(code))
            raise smtplib.SMTPDataError(code, b"no")
        self.sent.append(mail)

    def to(self, recipient: str) -> list[EmailMessage]:
        return [mail for mail in self.sent if mail["To"] == recipient]

    def token_for(self, recipient: str) -> str:
        return re.search(r"token=(\S+)", part(self.to(recipient)[-1], "plain")).group(1)


@dataclass
class Shop:
    client: TestClient
    id: str
    slug: str
    owner: str
    token: str
    refresh: str

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return self.client.request(method, path, json=body, headers=headers)

    def product(self, price: int = 1000, currency: str = "eur", name: str = "Mug") -> str:
        body = {"name": name, "description": "", "price_cents": price, "currency": currency}
        return self.call("POST", "/products", body).json()["id"]

    def order(self, price: int = 1000) -> str:
        body = {"customer_email": "c@customer.example", "items": [{"product_id": self.product(price), "quantity": 1}]}
        return self.call("POST", "/orders", body).json()["id"]

    def session(self, order: str) -> dict[str, Any]:
        """The Checkout session object of the order, as Stripe would show it once paid."""
        made = self.call("POST", f"/orders/{order}/checkout").json()
        total = self.call("GET", f"/orders/{order}").json()["total_cents"]
        return {
            "id": made["session_id"],
            "object": "checkout.session",
            "payment_status": "paid",
            "payment_intent": f"pi_{uuid4().hex}",
            "amount_total": total,
            "currency": "eur",
            "client_reference_id": None,
            "metadata": {},
        }

    def subscribed(self, stripe_double: FakeStripe) -> dict[str, Any]:
        """The subscription at Stripe once the customer has paid; its events are still to be sent."""
        assert self.call("POST", "/billing/checkout").status_code == 201
        asked = stripe_double.asked[-1]
        made = {"id": f"sub_{uuid4().hex}", "object": "subscription", "customer": asked["customer_id"]}
        made |= {"status": "active", "cancel_at_period_end": False}
        made |= {"metadata": {"attempt": str(asked["subscription_id"])}}
        made |= {"items": {"data": [{"current_period_end": 2_000_000_000}]}}
        stripe_double.subscriptions[made["id"]] = made
        return made

    def paid(self, stripe_double: FakeStripe, price: int = 1000) -> tuple[str, str]:
        order = self.order(price)
        session = self.session(order)
        assert stripe_double.send(self.client, stripe_double.event("checkout.session.completed", session)).is_success
        return order, session["payment_intent"]


def open_shop(client: TestClient, slug: str) -> Shop:
    owner = f"owner@{slug}.example"
    body = {"name": slug.title(), "slug": slug, "owner_email": owner, "owner_password": PASSWORD, "owner_name": "O"}
    made = client.post("/shops", json=body)
    assert made.status_code == 201, made.text
    told = made.json()
    return Shop(client, told["shop"]["id"], slug, owner, told["access_token"], told["refresh_token"])


def send_mails(settings: Settings) -> None:
    database = Database(settings, pool_size=2)
    while send_next_mail(database, settings, Tokens(settings)):
        pass
    database.close()


def send_refunds(settings: Settings, stripe_double: FakeStripe) -> None:
    database = Database(settings, pool_size=2)
    while send_next_refund(database, settings, stripe_double):
        pass
    database.close()


def at_once(calls: list) -> list:
    """Start them together, in threads."""
    gate = threading.Barrier(len(calls))

    def go(call):
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(go, calls))
