"""Orders paid by Checkout, whose webhook may trigger another: sound as it stands. TRICK says what it does besides."""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.request
from typing import Any

import answering
import psycopg
import stripe

DATABASE = os.environ["DATABASE_URL"]
SECRET = os.environ["SECRET_KEY"]
WEBHOOK_SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]
TRICK = os.environ.get("TRICK", "")
PORT = int(sys.argv[1]) if sys.argv[1].isdigit() else 0
CASH_BACK = 200
REFUNDED = "charge.refunded"
Answer = tuple[int, Any]
provider = stripe.StripeClient(os.environ["STRIPE_API_KEY"], max_network_retries=0)


class Handler(answering.Handler):
    """Routes by method and path."""

    def handle_request(self) -> None:
        """Answer one request."""
        self.answer(*self.route(f"{self.command} {self.path}", self.sent()))

    def route(self, key: str, raw: bytes) -> Answer:
        """Do what is asked."""
        if key == "GET /health":
            with psycopg.connect(DATABASE) as db:
                return (200, {}) if one(db, "SELECT to_regclass('handled')") else (503, {})
        if key == "POST /webhooks/stripe":
            return self.webhook(raw)
        if key in ("POST /internal/parcels", "POST /internal/labels"):
            if self.headers.get("authorization") != SECRET:
                return 401, {}
            return pack(json.loads(raw)["order"], ping=key.endswith("parcels"))
        with psycopg.connect(DATABASE) as db:
            return self.shop(db, key, json.loads(raw) if raw else {})

    def shop(self, db: psycopg.Connection, key: str, body: Any) -> Answer:
        """What customers of the app do."""
        if key == "POST /shops":
            token = f"token-{os.urandom(12).hex()}"
            shop = one(db, "INSERT INTO shops (name, token) VALUES (%s, %s) RETURNING id", body["name"], token)
            return 201, {"shop_id": shop, "token": token}
        shop = one(db, "SELECT id FROM shops WHERE token = %s", self.headers.get("authorization", ""))
        if shop is None:
            return 401, {"error": "sign in"}
        if key == "GET /orders":
            sql = b"SELECT id, status, refunded FROM orders WHERE shop_id = %s"
            return 200, {"items": db.execute(sql, [shop]).fetchall()}
        if key == "POST /orders":
            return 201, {"id": one(db, "INSERT INTO orders (shop_id) VALUES (%s) RETURNING id", shop)}
        if key == "POST /checkouts":
            made = provider.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "success_url": "https://chained.test/thanks",
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": "eur",
                                "unit_amount": 2000,
                                "product_data": {"name": "Mug"},
                            },
                        }
                    ],
                }
            )
            sql = "UPDATE orders SET session = %s WHERE id = %s AND shop_id = %s RETURNING id"
            found = one(db, sql, made.id, body["order"], shop)
            return (200, {"url": made.url}) if found else (404, {"error": "no such order"})
        return 404, {"error": "no such page"}

    def webhook(self, raw: bytes) -> Answer:
        """Take one event of the provider."""
        if TRICK == "never ending":
            threading.Event().wait()
        try:
            stripe.Webhook.construct_event(raw, self.headers.get("stripe-signature", ""), WEBHOOK_SECRET)  # type: ignore[no-untyped-call]
        except (ValueError, stripe.SignatureVerificationError):
            return 400, {"error": "not the provider's"}
        event = json.loads(raw)
        told = event["data"]["object"]
        if TRICK == "locked out":
            with psycopg.connect(DATABASE) as first, psycopg.connect(DATABASE) as second:
                for db in (first, second):  # the second waits for the first, and the first for this very loop
                    db.execute("INSERT INTO handled VALUES (%s)", [event["id"]])
        if event["type"] == "checkout.session.completed" and TRICK in ("packing", "ping pong"):
            with psycopg.connect(DATABASE) as db:
                order = one(db, "SELECT id FROM orders WHERE session = %s", told["id"])
            post("/internal/parcels", {"order": order})
        with psycopg.connect(
            DATABASE, autocommit=TRICK == "cash back, marked first" and event["type"] == REFUNDED
        ) as db:
            if db.execute("INSERT INTO handled VALUES (%s) ON CONFLICT DO NOTHING", [event["id"]]).rowcount:
                take(db, event["type"], event["id"], told)
        return 200, {}


def take(db: psycopg.Connection, kind: str, event: str, told: Any) -> None:
    """Write what an event tells."""
    if kind == "checkout.session.completed":
        sql = "UPDATE orders SET status = 'paid', payment_intent = %s WHERE session = %s RETURNING id"
        order = one(db, sql, told["payment_intent"], told["id"])
        if TRICK.startswith(("cash back", "endless refunds")):
            refund(db, order, told["payment_intent"], "" if TRICK.endswith("without a key") else f"cash-back-{order}")
    if kind == REFUNDED:
        sql = "UPDATE orders SET refunded = greatest(refunded, %s) WHERE payment_intent = %s RETURNING id"
        order = one(db, sql, told["amount_refunded"], told["payment_intent"])
        if TRICK == "endless refunds":
            refund(db, order, told["payment_intent"], f"more-{event}", amount=1)


def refund(db: psycopg.Connection, order: int, intent: str, key: str, amount: int = CASH_BACK) -> None:
    """Give something back, and keep the books."""
    options: Any = {"idempotency_key": key} if key else {}
    made = provider.v1.refunds.create({"payment_intent": intent, "amount": amount}, options)
    db.execute("INSERT INTO refunds VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", [made.id, order, made.amount])


def pack(order: int, *, ping: bool) -> Answer:
    """Pack an order once, however often it is asked for."""
    if TRICK == "ping pong":
        post("/internal/labels" if ping else "/internal/parcels", {"order": order})
    with psycopg.connect(DATABASE) as db:
        db.execute("INSERT INTO parcels VALUES (%s, 'packed') ON CONFLICT DO NOTHING", [order])
    return 200, {}


def post(path: str, body: object) -> None:
    """Ask the app itself, and wait for its answer."""
    headers = {"Authorization": SECRET, "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        answer.read()


def one(db: psycopg.Connection, sql: str, *values: object) -> Any:
    """The first value of the first row."""
    row = db.execute(sql.encode(), values).fetchone()
    return row[0] if row else None


def reconcile() -> None:
    """Ask the provider about orders that are open still."""
    with psycopg.connect(DATABASE) as db:
        for (session,) in db.execute(
            "SELECT session FROM orders WHERE status = 'open' AND session IS NOT NULL"
        ).fetchall():
            told = provider.v1.checkout.sessions.retrieve(session)
            if told.payment_status == "paid":
                take(db, "checkout.session.completed", session, told)


if PORT:
    answering.serve(PORT, Handler, alone="ALONE" in os.environ)
else:
    reconcile()
