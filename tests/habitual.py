"""An app (tests/habits) that sells one thing, and uses its database in any of many ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from misfortune import OWNER, App, World, principal, process

HABITS = Path(__file__).with_name("habits")
PROMISES = ("AUTH001", "PAY001", "PAY007", "PAY009", "PAY010", "PAY011", "TEN042")
"""What such an app is held to here."""

DOCUMENT: dict[str, Any] = {
    "app": {"name": "kiosk"},
    "process": process(STRIPE_API_KEY="{stripe_key}", STRIPE_WEBHOOK_SECRET="{stripe_webhook_secret}"),
    "permissions": {
        "notes.read": "read notes",
        "notes.write": "write notes",
        "orders.read": "see orders",
        "orders.write": "order",
    },
    "principals": {
        "owner": OWNER,
        "reader": principal(["notes.read", "orders.read"], {}, request="POST /members", **{"as": "owner"}),
    },
    "resources": {
        "note": {
            "as": "owner",
            "steps": [{"request": "POST /notes", "json": {"text": "{canary}"}, "capture": {"note_id": "id"}}],
        },
        "order": {"as": "owner", "steps": [{"request": "POST /orders", "capture": {"order_id": "id"}}]},
    },
    "routes": {
        "POST /teams": {"public": "sign-up", "json": {"name": "New"}},
        "GET /notes": {"permission": "notes.read"},
        "POST /notes": {"permission": "notes.write", "json": {"text": "{canary}"}},
        "GET /notes/{note_id}": {"permission": "notes.read"},
        "POST /orders": {"permission": "orders.write"},
        "GET /orders/{order_id}": {"permission": "orders.read"},
        "POST /webhooks/stripe": {"signature": "stripe"},
    },
    "tenancy": {
        "tenant": "team_id",
        "tables": {"teams": "id", "members": "team_id", "notes": "team_id", "orders": "team_id"},
        "global": {
            "inbox": "ids of events",
            "handled": "ids of events",
            "jobs": "what is left to do",
            "queue": "what is left to do",
        },
    },
    "webhooks": {
        "stripe": {
            "route": "POST /webhooks/stripe",
            "events": ["checkout.session.completed"],
            "journeys": {
                "purchase": {
                    "steps": [{"as": "owner", "request": "POST /orders"}],
                    "customer": "pay",
                    "events": ["checkout.session.completed"],
                }
            },
        }
    },
}


def settle_in(world: World, habit: str, *, trick: str = "") -> None:
    """Let the world's app be the one that uses its database in this way, in the sound or in the wrong variant."""
    world.app = App(world.app.directory, json.loads(json.dumps(DOCUMENT)), source=HABITS)
    world.app.process["env"] |= {"HABIT": habit, "TRICK": trick}
    if habit in ("listening worker", "leased"):
        world.app.process["worker"] = "{python} worker.py"
