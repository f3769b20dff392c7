"""A kiosk that sells credits through Stripe's Checkout; how it uses its database is the environment's HABIT."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import ssl
import sys
from typing import Any
from urllib.parse import urlencode

import answering
import psycopg
from ways import WAYS

SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]
WAY = WAYS[os.environ["HABIT"]]()
READERS = {"GET /notes", "GET /notes/{id}", "GET /orders/{id}"}
Answer = tuple[int, Any]


class Handler(answering.Handler):
    """Routes by method and path."""

    def handle_request(self) -> None:
        """Answer one request; what the database refuses is a 500."""
        self.raw = self.sent()
        path, _, number = self.path.rpartition("/")
        key = f"{self.command} {path}/{{id}}" if number.isdecimal() else f"{self.command} {self.path}"
        try:
            status, content = self.route(key, int(number) if number.isdecimal() else 0)
        except (psycopg.Error, OSError) as error:
            sys.stderr.write(f"{key}: {type(error).__name__}: {error}\n")
            status, content = 500, {"error": "try again"}
        self.answer(status, content)

    def route(self, key: str, number: int) -> Answer:
        """Do what is asked."""
        if key == "GET /health":
            return 200, {}
        if key == "POST /webhooks/stripe":
            return self.webhook()
        body = json.loads(self.raw or b"{}")
        if key == "POST /teams":
            team = WAY.rows("INSERT INTO teams (name) VALUES (%s) RETURNING id", body["name"])[0][0]
            return 201, {"team_id": team, "token": enter(team, "owner")}
        found = WAY.rows("SELECT team_id, role FROM members WHERE token = %s", self.headers.get("authorization", ""))
        if not found:
            return 401, {"error": "sign in"}
        team, role = found[0]
        if role != "owner" and key not in READERS:
            return 403, {"error": "owners only"}
        return self.inside(key, number, team, body)

    def inside(self, key: str, number: int, team: int, body: Any) -> Answer:
        """Do what a member of a team may ask for."""
        match key:
            case "POST /members":
                return 201, {"token": enter(team, "reader")}
            case "GET /notes":
                return 200, {"items": WAY.many("SELECT id, text FROM notes WHERE team_id = %s ORDER BY id", team)}
            case "POST /notes":
                made = WAY.rows("INSERT INTO notes (team_id, text) VALUES (%s, %s) RETURNING id", team, body["text"])
                return 201, {"id": made[0][0]}
            case "GET /notes/{id}":
                found = WAY.rows("SELECT text FROM notes WHERE team_id = %s AND id = %s", team, number)
                return (200, {"text": found[0][0]}) if found else (404, {"error": "no such note"})
            case "POST /orders":
                order = WAY.rows("INSERT INTO orders (team_id, status) VALUES (%s, 'open') RETURNING id", team)[0][0]
                return 201, {"id": order, "url": checkout(order)}
            case "GET /orders/{id}":
                found = WAY.rows("SELECT status FROM orders WHERE team_id = %s AND id = %s", team, number)
                return (200, {"status": found[0][0]}) if found else (404, {"error": "no such order"})
            case _:
                return 404, {"error": "no such page"}

    def webhook(self) -> Answer:
        """Take an event of Stripe's."""
        if not is_signed(self.headers.get("stripe-signature", ""), self.raw):
            return 400, {"error": "not signed"}
        event = json.loads(self.raw)
        if event["type"] == "checkout.session.completed":
            WAY.take(event)
        return 200, {}


def enter(team: int, role: str) -> str:
    """Let a new member into a team."""
    token = f"token-{role}-{os.urandom(12).hex()}"
    WAY.rows("INSERT INTO members (team_id, role, token) VALUES (%s, %s, %s) RETURNING id", team, role, token)
    return token


def is_signed(header: str, body: bytes) -> bool:
    """Whether Stripe sent it (https://docs.stripe.com/webhooks#verify-manually)."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    wanted = hmac.new(SECRET.encode(), parts.get("t", "").encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, parts.get("v1", ""))


def checkout(order: int) -> str:
    """Have Stripe make a page on which an order is paid."""
    stripe = http.client.HTTPSConnection("api.stripe.com", context=ssl.create_default_context())
    form = {
        "mode": "payment",
        "client_reference_id": str(order),
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "eur",
        "line_items[0][price_data][unit_amount]": "1500",
        "line_items[0][price_data][product_data][name]": "Ten credits",
        "success_url": "https://kiosk.test/thanks",
        "cancel_url": "https://kiosk.test/",
    }
    headers = {
        "Authorization": f"Bearer {os.environ['STRIPE_API_KEY']}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": f"order-{order}",
    }
    stripe.request("POST", "/v1/checkout/sessions", urlencode(form), headers)
    url: str = json.loads(stripe.getresponse().read())["url"]
    stripe.close()
    return url


answering.serve(int(sys.argv[1]), Handler)
