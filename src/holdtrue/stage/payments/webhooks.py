"""Webhook deliveries, signed as Stripe signs them, and forged as an attacker would (https://docs.stripe.com/webhooks)."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Literal, get_args

from holdtrue.stage.payments import events
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.store import Resource, clone
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
_OVERLAP_SECONDS = 24 * 3600
_FUTURE_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One HTTP POST to a webhook endpoint, ready to be sent byte for byte."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    event_id: str
    event_type: str
    url: str | None = None
    """Where to, for an endpoint that the app registered itself; None for the one that it is configured with."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A signing secret; one that was rolled still signs, beside the new one, before `until` (Unix seconds)."""

    value: str = field(repr=False)
    until: int | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A webhook endpoint that the app itself registered through the API."""

    id: str
    url: str
    secrets: tuple[Secret, ...] = field(repr=False)
    enabled_events: tuple[str, ...]
    api_version: str | None
    account: str
    connect: bool
    """Whether it hears of the connected accounts, and not of its own (https://docs.stripe.com/connect/webhooks)."""


class Webhooks:
    """Makes deliveries; sending them is the caller's. The same event twice has the same body and a fresh signature."""

    def __init__(self, world: World, open_books: Callable[[str | None], Books], secret: str) -> None:
        self._world = world
        self._open_books = open_books
        self.secrets: tuple[Secret, ...] = (Secret(value=secret),)
        self._configured = secret

    def now(self) -> int:
        """The moment in which a delivery is signed unless it is said otherwise, in Unix seconds."""
        return self._world.clock.now()

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
        secrets = self._valid(self.secrets) if secret is None else [secret] if isinstance(secret, str) else list(secret)
        body = self.body(event, api_version)
        return _delivery(event, body, sign(body, secrets, self.now() if at is None else at))

    def deliveries(self, event: Event, *, at: int | None = None) -> list[Delivery]:
        """One for each registered endpoint that wants the event, in its version, signed with its own secrets."""
        made = []
        for endpoint in self.endpoints():
            if _wants(endpoint, event, self._world.platform):
                own = event if endpoint.connect else replace(event, account=None)
                body = self._body(event.account, own, endpoint.api_version)
                signature = sign(body, self._valid(endpoint.secrets), self.now() if at is None else at)
                made.append(_delivery(event, body, signature, endpoint.url))
        return made

    def roll(self, endpoint_id: str | None = None, *, overlap: int = _OVERLAP_SECONDS) -> str:
        """Roll the secret of an endpoint, without an id that of the configured one; answers the new secret.

        For `overlap` seconds (at most a day, at Stripe) deliveries are signed with both; afterwards, or at once where
        it is 0, with the new one alone.

        Raises:
            KeyError: no account has an endpoint of that id.
        """
        new = f"whsec_{token_hex(16)}"
        until = self.now() + overlap
        if endpoint_id is None:
            self.secrets = _rolled(self.secrets, new, until)
            return new
        store = self._world.owner(endpoint_id)
        endpoint = store.get("webhook_endpoint", endpoint_id)
        if endpoint is None:
            raise KeyError(f"'{endpoint_id}' is not a webhook endpoint: use an id of double.webhooks.endpoints()")
        store.put({**endpoint, "_secrets": [_noted(one) for one in _rolled(_secrets(endpoint), new, until)]})
        return new

    def snapshot(self) -> tuple[Secret, ...]:
        """The secrets of the configured endpoint; the one it began with, which its app knows, by no value.

        So the state of one double can be given to another, whose app knows another first secret.
        """
        return tuple(replace(one, value="") if one.value == self._configured else one for one in self.secrets)

    def restore(self, known: tuple[Secret, ...]) -> None:
        """Back to a snapshot, of this double or of another."""
        self.secrets = tuple(replace(one, value=one.value or self._configured) for one in known)

    def _valid(self, known: Sequence[Secret]) -> list[str]:
        """The newest first."""
        return [one.value for one in reversed(known) if one.until is None or one.until > self.now()]

    def forge(self, event: Event, how: Forgery, *, at: int | None = None) -> Delivery:
        """A delivery that an app must refuse.

        - `unsigned`: no signature header at all;
        - `wrong_secret`, `empty_secret`: signed with another secret, with the empty one;
        - `tampered_body`: a valid signature of another body (amounts changed);
        - `stale`: a valid signature of 15 minutes ago; `future`: of a year ahead, which official SDKs accept;
        - `malformed_header`: a header that does not parse;
        - `wrong_scheme`: the right signature under `v0`, which must be ignored.
        """
        now = self.now() if at is None else at
        body = self.body(event, None)
        right = self._valid(self.secrets)
        if how == "unsigned":
            return _delivery(event, body, None)
        if how == "wrong_secret":
            return _delivery(event, body, sign(body, [f"{right[0]}x"], now))
        if how == "empty_secret":
            return _delivery(event, body, sign(body, [""], now))
        if how == "tampered_body":
            return _delivery(event, self.body(_tampered(event), None), sign(body, right, now))
        if how == "stale":
            return _delivery(event, body, sign(body, right, now - _STALE_SECONDS))
        if how == "future":
            return _delivery(event, body, sign(body, right, now + _FUTURE_SECONDS))
        if how == "malformed_header":
            return _delivery(event, body, f"v1;{_signature(body, right[0], now)}")
        return _delivery(event, body, f"t={now},v0={_signature(body, right[0], now)}")

    def body(self, event: Event, api_version: str | None = None) -> bytes:
        """The event as Stripe writes it: indented by two, so that a body parsed and written anew has other bytes."""
        return self._body(event.account, event, api_version)

    def _body(self, account: str | None, event: Event, api_version: str | None) -> bytes:
        version = api_version or self._world.api_version
        return json.dumps(events.body(self._open_books(account), event, version), indent=2).encode()

    def mark_delivered(self, event: Event) -> None:
        """An endpoint answered 2xx: `delivery_success=false` lists the event no more."""
        self._world.delivered.add(event.id)

    def endpoints(self) -> list[Endpoint]:
        """The enabled endpoints that the app registered through the API."""
        return [
            Endpoint(
                id=endpoint["id"],
                url=endpoint["url"],
                secrets=_secrets(endpoint),
                enabled_events=tuple(endpoint["enabled_events"]),
                api_version=endpoint["api_version"],
                account=store.account,
                connect=endpoint["_connect"],
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


def _secrets(endpoint: Resource) -> tuple[Secret, ...]:
    return tuple(Secret(value=one["value"], until=one["until"]) for one in endpoint["_secrets"])


def _noted(secret: Secret) -> Resource:
    return {"value": secret.value, "until": secret.until}


def _rolled(known: Sequence[Secret], new: str, until: int) -> tuple[Secret, ...]:
    return (*(replace(one, until=min(until, one.until or until)) for one in known), Secret(value=new))


def _wants(endpoint: Endpoint, event: Event, platform: str) -> bool:
    if not {"*", event.type} & set(endpoint.enabled_events):
        return False
    if endpoint.account != platform:
        return event.account == endpoint.account
    return (event.account is not None) == endpoint.connect


def _delivery(event: Event, body: bytes, signature: str | None, url: str | None = None) -> Delivery:
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
        ("Accept", "*/*; q=0.5, application/xml"),
        ("Cache-Control", "no-cache"),
    ]
    if signature is not None:
        headers.append(("Stripe-Signature", signature))
    return Delivery(headers=tuple(headers), body=body, event_id=event.id, event_type=event.type, url=url)
