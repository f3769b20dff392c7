"""An app whose webhook triggers another (tests/chained), in the world of misfortunes."""

from __future__ import annotations

from pathlib import Path

from misfortune import App, principal, process

CHAINED = Path(__file__).with_name("chained")


def chain(app: App, trick: str = "") -> None:
    """Make it the app whose webhooks trigger others, in one way."""
    app.source = CHAINED
    app.document.clear()
    app.document |= {
        "app": {"name": "chained"},
        "process": process(
            SECRET_KEY="{secret:signing}",
            STRIPE_API_KEY="{stripe_key}",
            STRIPE_WEBHOOK_SECRET="{stripe_webhook_secret}",
            TRICK=trick,
        ),
        "permissions": {"orders": "take orders"},
        "principals": {
            "owner": principal(["*"], {"shop_id": "shop_id"}, request="POST /shops", json={"name": "Shop {canary}"}),
        },
        "resources": {
            "order": {"as": "owner", "steps": [{"request": "POST /orders", "json": {}, "capture": {"order_id": "id"}}]}
        },
        "tenancy": {"tenant": "shop_id", "tables": {"shops": "id", "orders": "shop_id"}},
        "routes": {
            "POST /shops": {"public": "sign-up", "json": {"name": "New"}},
            "GET /orders": {"permission": "orders"},
            "POST /orders": {"permission": "orders", "json": {}},
            "POST /checkouts": {"permission": "orders", "json": {"order": "{order_id}"}},
            "POST /webhooks/stripe": {"signature": "stripe"},
            "POST /internal/parcels": {"out_of_scope": "the app asks itself, with its own key"},
            "POST /internal/labels": {"out_of_scope": "the app asks itself, with its own key"},
        },
        "webhooks": {
            "stripe": {
                "route": "POST /webhooks/stripe",
                "events": ["checkout.session.completed", "charge.refunded"],
                "reconcile": "{python} server.py reconcile",
                "journeys": {
                    "purchase": {
                        "steps": [{"as": "owner", "request": "POST /checkouts", "json": {"order": "{order_id}"}}],
                        "customer": "pay",
                        "events": ["checkout.session.completed"],
                    }
                },
            }
        },
    }
