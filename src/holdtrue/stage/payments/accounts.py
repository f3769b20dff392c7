"""Accounts, their onboarding links and webhook endpoints: what apps only touch in passing."""

import re
from typing import Any

from holdtrue.stage.payments import errors
from holdtrue.stage.payments.books import Books
from holdtrue.stage.payments.listing import newest, page
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.routing import Route
from holdtrue.stage.payments.store import Resource

_LINK_LIVES = 300
_MAX_ENDPOINTS = 16
_EVENT_TYPE = re.compile(r"[a-z_0-9]+(\.[a-z_0-9]+)+\Z")


def make(books: Books, identifier: str, **fields: Any) -> Resource:
    """An account that may charge and be paid out, unless `fields` say otherwise."""
    account: Resource = {
        "id": identifier,
        "object": "account",
        "business_profile": None,
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "created": books.now(),
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": _settings(),
        "type": "standard",
        **fields,
    }
    return books.save(account)


def _settings() -> Resource:
    descriptors = ("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji")
    return {
        "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
        "card_payments": {
            "decline_on": {"avs_failure": False, "cvc_failure": True},
            "statement_descriptor_prefix": None,
        },
        "dashboard": {"display_name": "Stage", "timezone": "Etc/UTC"},
        "payments": dict.fromkeys(descriptors),
        "payouts": {
            "debit_negative_balances": True,
            "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": None,
        },
    }


def _self(books: Books, _: Params) -> Resource:
    own = books.store.account
    return books.world.accounts[books.world.platform].get("account", own) or make(books, own)


def _create_account(books: Books, params: Params) -> Resource:
    identifier = books.new_id("account")
    fields: dict[str, Any] = {name: params.echo(name) for name in ("business_profile", "business_type", "controller")}
    fields["capabilities"] = dict.fromkeys(params.nested("capabilities").values, "inactive")
    params.echo("capabilities")
    fields["country"] = params.text("country") or "US"
    account = make(
        books,
        identifier,
        charges_enabled=False,
        details_submitted=False,
        payouts_enabled=False,
        email=params.email("email"),
        metadata=params.metadata(),
        type=params.choice("type", ("custom", "express", "standard")) or "none",
        **fields,
    )
    books.world.connect(identifier)
    return account


def _update_account(books: Books, params: Params, identifier: str) -> Resource:
    account = books.live("account", identifier)
    changes: dict[str, Any] = {"metadata": params.metadata(account["metadata"])}
    if params.sent("email"):
        changes["email"] = params.email("email")
    return books.change(account, "account.updated", **changes)


def _link(books: Books, params: Params) -> Resource:
    account = books.get("account", params.need("account"), param="account")
    params.choice("type", ("account_onboarding", "account_update"))
    for name in ("refresh_url", "return_url", "type"):
        params.need(name)
    return {
        "object": "account_link",
        "created": books.now(),
        "expires_at": books.now() + _LINK_LIVES,
        "url": f"https://connect.stripe.com/setup/s/{account['id']}/{books.new_id('account_link')}",
    }


def _create_endpoint(books: Books, params: Params) -> Resource:
    url, enabled = params.need("url"), params.texts("enabled_events")
    if not enabled:
        raise errors.missing("enabled_events")
    if sum(1 for _ in books.all("webhook_endpoint")) >= _MAX_ENDPOINTS:
        raise errors.refused(f"You have reached the maximum of {_MAX_ENDPOINTS} test webhook endpoints.")
    _check_events(enabled)
    endpoint: Resource = {
        "id": books.new_id("webhook_endpoint"),
        "object": "webhook_endpoint",
        "api_version": params.text("api_version"),
        "application": None,
        "created": books.now(),
        "description": params.text("description"),
        "enabled_events": enabled,
        "livemode": False,
        "metadata": params.metadata(),
        "status": "enabled",
        "url": url,
        "_connect": bool(params.boolean("connect")),
        "_secrets": [{"value": books.new_id("webhook_secret"), "until": None}],
    }
    books.save(endpoint)
    return {**endpoint, "secret": endpoint["_secrets"][0]["value"]}


def _check_events(enabled: list[str]) -> None:
    for at, name in enumerate(enabled):
        if name != "*" and not _EVENT_TYPE.match(name):
            raise errors.invalid(
                f"The event `{name}` is not a valid event type: name it whole, or use `*` for all.",
                param=f"enabled_events[{at}]",
            )


def _update_endpoint(books: Books, params: Params, identifier: str) -> Resource:
    endpoint = books.live("webhook_endpoint", identifier)
    changes: dict[str, Any] = {name: params.text(name) for name in ("url", "description") if params.sent(name)}
    if params.has("enabled_events"):
        changes["enabled_events"] = params.texts("enabled_events")
        _check_events(changes["enabled_events"])
    if params.has("disabled"):
        changes["status"] = "disabled" if params.boolean("disabled") else "enabled"
    return books.change(endpoint, None, metadata=params.metadata(endpoint["metadata"]), **changes)


def _delete_endpoint(books: Books, _: Params, identifier: str) -> Resource:
    endpoint = books.live("webhook_endpoint", identifier)
    books.save({**endpoint, "deleted": True})
    return {"id": identifier, "object": "webhook_endpoint", "deleted": True}


def _list_endpoints(books: Books, params: Params) -> Resource:
    return page(newest(books.all("webhook_endpoint")), params, "/v1/webhook_endpoints", kind="webhook_endpoint")


def _list_accounts(books: Books, params: Params) -> Resource:
    found = [account for account in newest(books.all("account")) if account["id"] != books.world.platform]
    return page(found, params, "/v1/accounts", kind="account")


ROUTES = (
    Route("GET", "/v1/account", _self),
    Route("POST", "/v1/accounts", _create_account),
    Route("GET", "/v1/accounts", _list_accounts),
    Route("GET", "/v1/accounts/{id}", lambda books, _, identifier: books.get("account", identifier)),
    Route("POST", "/v1/accounts/{id}", _update_account),
    Route("POST", "/v1/account_links", _link),
    Route("POST", "/v1/webhook_endpoints", _create_endpoint),
    Route("GET", "/v1/webhook_endpoints", _list_endpoints),
    Route("GET", "/v1/webhook_endpoints/{id}", lambda books, _, one: books.get("webhook_endpoint", one)),
    Route("POST", "/v1/webhook_endpoints/{id}", _update_endpoint),
    Route("DELETE", "/v1/webhook_endpoints/{id}", _delete_endpoint),
)
