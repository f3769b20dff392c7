"""Webhook deliveries, signed as Stripe signs them, and forged as an attacker would (https://docs.stripe.com/webhooks)."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from holdtrue.stage.payments import events
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import clone
from holdtrue.stage.payments.world import Event, World

Forgery = Literal[
    "unsigned",
    "wrong_secret",
    "tampered_body",
    "stale",
    "future",
    "empty_secret",
    "malformed_header",
    "wrong_scheme",
]
FORGERIES: tuple[Forgery, ...] = get_args(Forgery)

_STALE_SECONDS = 15 * 60
_FUTURE_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One HTTP POST to a webhook endpoint, ready to be sent byte for byte."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    event_id: str
    event_type: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A webhook endpoint that the app itself registered through the API."""

    url: str
    secret: str = field(repr=False)
    enabled_events: tuple[str, ...]
    api_version: str | None
    account: str


class Webhooks:
    """Makes deliveries; sending them is the caller's. The same event twice has the same body and a fresh signature."""

    def __init__(self, world: World, open_books: Callable[[str | None], Books], secret: str) -> None:
        self._world = world
        self._open_books = open_books
        self._secret = secret

    def delivery(
        self,
        event: Event,
        *,
        secret: str | Sequence[str] | None = None,
        at: int | None = None,
        api_version: str | None = None,
    ) -> Delivery:
        """A genuine delivery, signed at `at` (Unix seconds; default: the double's clock).

        Several secrets, as during a rotation, give several `v1` signatures in one header. `api_version` is that of the
        endpoint; without it the account's default holds.
        """
        secrets = [self._secret] if secret is None else [secret] if isinstance(secret, str) else list(secret)
        body = self.body(event, api_version)
        return _delivery(event, body, sign(body, secrets, self._world.clock.now() if at is None else at))

    def forge(self, event: Event, how: Forgery, *, at: int | None = None) -> Delivery:
        """A delivery that an app must refuse.

        - `unsigned`: no signature header at all;
        - `wrong_secret`, `empty_secret`: signed with another secret, with the empty one;
        - `tampered_body`: a valid signature of another body (amounts changed);
        - `stale`: a valid signature of 15 minutes ago; `future`: of a year ahead, which official SDKs accept;
        - `malformed_header`: a header that does not parse;
        - `wrong_scheme`: the right signature under `v0`, which must be ignored.
        """
        now = self._world.clock.now() if at is None else at
        body = self.body(event, None)
        right = [self._secret]
        if how == "unsigned":
            return _delivery(event, body, None)
        if how == "wrong_secret":
            return _delivery(event, body, sign(body, [f"{self._secret}x"], now))
        if how == "empty_secret":
            return _delivery(event, body, sign(body, [""], now))
        if how == "tampered_body":
            return _delivery(event, self.body(_tampered(event), None), sign(body, right, now))
        if how == "stale":
            return _delivery(event, body, sign(body, right, now - _STALE_SECONDS))
        if how == "future":
            return _delivery(event, body, sign(body, right, now + _FUTURE_SECONDS))
        if how == "malformed_header":
            return _delivery(event, body, f"v1;{_signature(body, self._secret, now)}")
        return _delivery(event, body, f"t={now},v0={_signature(body, self._secret, now)}")

    def body(self, event: Event, api_version: str | None = None) -> bytes:
        """The event as Stripe writes it: indented by two, so that a body parsed and written anew has other bytes."""
        version = api_version or self._world.api_version
        return json.dumps(events.body(self._open_books(event.account), event, version), indent=2).encode()

    def mark_delivered(self, event: Event) -> None:
        """An endpoint answered 2xx: `delivery_success=false` lists the event no more."""
        self._world.delivered.add(event.id)

    def endpoints(self) -> list[Endpoint]:
        """The enabled endpoints that the app registered through the API."""
        return [
            Endpoint(
                url=endpoint["url"],
                secret=endpoint["_secret"],
                enabled_events=tuple(endpoint["enabled_events"]),
                api_version=endpoint["api_version"],
                account=store.account,
            )
            for store in self._world.accounts.values()
            for endpoint in store.all("webhook_endpoint")
            if endpoint["status"] == "enabled" and not endpoint.get("deleted")
        ]


def sign(body: bytes, secrets: Sequence[str], at: int) -> str:
    """The `Stripe-Signature` header. Like Stripe's for test events it carries a meaningless `v0`, to be ignored."""
    decoy = hashlib.sha256(b"v0" + body).hexdigest()
    return ",".join([f"t={at}", *(f"v1={_signature(body, secret, at)}" for secret in secrets), f"v0={decoy}"])


def _signature(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def _tampered(event: Event) -> Event:
    changed = clone(dict(event.object))
    for name in ("amount", "amount_total", "amount_paid", "amount_received"):
        if isinstance(changed.get(name), int):
            changed[name] += 100_00
    changed["metadata"] = {**(changed.get("metadata") or {}), "tampered": "yes"}
    return replace(event, object=changed)


def _delivery(event: Event, body: bytes, signature: str | None) -> Delivery:
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
        ("Accept", "*/*; q=0.5, application/xml"),
        ("Cache-Control", "no-cache"),
    ]
    if signature is not None:
        headers.append(("Stripe-Signature", signature))
    return Delivery(headers=tuple(headers), body=body, event_id=event.id, event_type=event.type)
