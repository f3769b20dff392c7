"""The smaller resources, over plain HTTP: what apps call in passing."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from holdtrue.stage.payments import Clock, StripeDouble

from .conftest import NOW


class Api:
    """Short words for requests that must succeed, or be refused."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def post(self, path: str, /, **data: str) -> dict[str, Any]:
        return self._good(await self._client.post(f"/v1/{path}", data={_name(key): data[key] for key in data}))

    async def get(self, path: str, /, **query: str) -> dict[str, Any]:
        return self._good(await self._client.get(f"/v1/{path}", params={_name(key): query[key] for key in query}))

    async def delete(self, path: str) -> dict[str, Any]:
        return self._good(await self._client.delete(f"/v1/{path}"))

    async def refused(self, path: str, /, **data: str) -> dict[str, Any]:
        answer = await self._client.post(f"/v1/{path}", data={_name(key): data[key] for key in data})
        assert answer.status_code >= 400
        return dict(answer.json()["error"])

    def _good(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def _name(key: str) -> str:
    """`recurring__interval` stands for `recurring[interval]`."""
    first, *rest = key.split("__")
    return first + "".join(f"[{part}]" for part in rest)


@pytest.fixture
async def plain() -> AsyncIterator[StripeDouble]:
    """A double without TLS, for apps that are configured with an http:// address."""
    double = StripeDouble(authority=None, seed="plain", clock=Clock(lambda: NOW))
    await double.start()
    yield double
    await double.close()
    assert double.crashes == []


@pytest.fixture
async def api(plain: StripeDouble) -> AsyncIterator[Api]:
    assert plain.url.startswith("http://127.0.0.1:")
    async with httpx.AsyncClient(base_url=plain.url, auth=(plain.secret_key, "")) as client:
        yield Api(client)


async def test_products_and_prices(api: Api, plain: StripeDouble) -> None:
    tea = await api.post(
        "products", name="Tea", default_price_data__currency="eur", default_price_data__unit_amount="5"
    )
    default = await api.get(f"prices/{tea['default_price']}", expand__0="product")
    assert (default["unit_amount"], default["product"]["id"]) == (5, tea["id"])
    half = {"product": tea["id"], "currency": "eur", "unit_amount_decimal": "0.5", "lookup_key": "half"}
    price = await api.post("prices", **half)
    assert (price["unit_amount"], price["unit_amount_decimal"]) == (None, "0.5")

    assert (await api.refused("prices", **half))["param"] == "lookup_key"
    taken = await api.post("prices", **half, transfer_lookup_key="true")
    listed = await api.get("prices", lookup_keys__0="half")
    assert [one["id"] for one in listed["data"]] == [taken["id"]]
    found = await api.get("prices/search", query="lookup_key:'half'")
    assert [one["id"] for one in found["data"]] == [taken["id"]]

    assert (await api.post(f"prices/{price['id']}", active="false"))["active"] is False
    assert [one["id"] for one in (await api.get("prices", active="false"))["data"]] == [price["id"]]
    renamed = await api.post(f"products/{tea['id']}", name="Green tea", metadata__sort="1")
    assert (renamed["name"], renamed["metadata"]) == ("Green tea", {"sort": "1"})
    told = plain.events[-1]
    assert (told.type, dict(told.previous or {})) == (
        "product.updated",
        {"name": "Tea", "metadata": {"sort": None}},
    )


async def test_a_product_without_prices_can_be_deleted_and_one_with_prices_cannot(api: Api) -> None:
    bare = await api.post("products", name="Bare", id="bare")
    assert bare["id"] == "bare"
    assert await api.delete("products/bare") == {"id": "bare", "object": "product", "deleted": True}
    assert (await api.get("products"))["data"] == []
    assert (await api.refused("products/bare", name="again"))["code"] == "resource_missing"


async def test_a_deleted_customer_is_shown_as_deleted_and_takes_nothing_more(api: Api) -> None:
    customer = await api.post("customers", name="A", payment_method="pm_card_visa")
    cards = await api.get(f"customers/{customer['id']}/payment_methods", type="card")
    detached = await api.post(f"payment_methods/{cards['data'][0]['id']}/detach")
    assert detached["customer"] is None
    await api.delete(f"customers/{customer['id']}")
    assert (await api.get(f"customers/{customer['id']}")) == {
        "id": customer["id"],
        "object": "customer",
        "deleted": True,
    }
    error = await api.refused("payment_intents", amount="500", currency="usd", customer=customer["id"])
    assert (error["code"], error["param"]) == ("resource_missing", "customer")


async def test_a_card_of_another_customer_is_refused(api: Api) -> None:
    one, two = [await api.post("customers", name=name) for name in "ab"]
    card = await api.post("payment_methods", type="card", card__token="tok_visa")
    await api.post(f"payment_methods/{card['id']}/attach", customer=one["id"])
    error = await api.refused(
        "payment_intents", amount="500", currency="usd", customer=two["id"], payment_method=card["id"]
    )
    assert error["param"] == "payment_method"
    assert (await api.refused(f"payment_methods/{card['id']}/attach", customer=two["id"]))["code"] == (
        "payment_method_unexpected_state"
    )


async def test_a_subscription_changes_its_price_and_quantity(api: Api, plain: StripeDouble) -> None:
    product = await api.post("products", name="Pro")
    prices = [
        await api.post("prices", product=product["id"], currency="usd", unit_amount=amount, recurring__interval="month")
        for amount in ("1000", "3000")
    ]
    customer = await api.post("customers", name="A")
    card = await api.post("payment_methods/pm_card_visa/attach", customer=customer["id"])
    made = await api.post(
        "subscriptions", customer=customer["id"], items__0__price=prices[0]["id"], default_payment_method=card["id"]
    )
    item = made["items"]["data"][0]["id"]
    changed = await api.post(
        f"subscriptions/{made['id']}",
        items__0__id=item,
        items__0__price=prices[1]["id"],
        items__0__quantity="4",
        proration_behavior="none",
    )
    (line,) = changed["items"]["data"]
    assert (line["id"], line["price"]["id"], line["plan"]["amount"], line["quantity"]) == (
        item,
        prices[1]["id"],
        3000,
        4,
    )
    assert plain.events[-1].type == "customer.subscription.updated"
    assert plain.unmodelled == []

    plain.advance(31 * 24 * 3600)
    assert plain.ledger()["platform"]["captured"] == {"usd": 1000 + 12000}
    found = await api.get("subscriptions", price=prices[1]["id"], status="all")
    assert len(found["data"]) == 1
    ended = await api.delete(f"subscriptions/{made['id']}")
    assert ended["status"] == "canceled"
    assert (await api.refused(f"subscriptions/{made['id']}", cancel_at_period_end="true"))["type"] == (
        "invalid_request_error"
    )


async def test_an_open_invoice_is_paid_with_a_given_card_or_voided(api: Api) -> None:
    product = await api.post("products", name="Pro")
    price = await api.post(
        "prices", product=product["id"], currency="usd", unit_amount="1000", recurring__interval="month"
    )
    customer = await api.post("customers", name="A")
    order = {"customer": customer["id"], "items__0__price": price["id"], "payment_behavior": "default_incomplete"}
    first, second = [(await api.post("subscriptions", **order))["latest_invoice"] for _ in range(2)]

    declined = await api.refused(f"invoices/{first}/pay", payment_method="pm_card_chargeDeclined")
    assert declined["code"] == "card_declined"
    assert (await api.get(f"invoices/{first}"))["attempt_count"] == 1
    paid = await api.post(f"invoices/{first}/pay", payment_method="pm_card_visa")
    assert (paid["status"], paid["amount_remaining"]) == ("paid", 0)
    assert (await api.refused(f"invoices/{first}/pay"))["code"] == "invoice_already_paid"
    assert (await api.post(f"invoices/{second}/void"))["status"] == "void"
    statuses = {one["id"]: one["status"] for one in (await api.get("invoices", customer=customer["id"]))["data"]}
    assert statuses == {first: "paid", second: "void"}


async def test_accounts_links_and_the_billing_portal(api: Api, plain: StripeDouble) -> None:
    account = await api.post(
        "accounts", type="express", email="a@example.com", capabilities__transfers__requested="true"
    )
    assert (account["charges_enabled"], account["capabilities"]) == (False, {"transfers": "inactive"})
    urls = {"return_url": "https://app.example.com", "refresh_url": "https://app.example.com"}
    link = await api.post("account_links", account=account["id"], type="account_onboarding", **urls)
    assert link["expires_at"] > NOW
    assert [one["id"] for one in (await api.get("accounts"))["data"]] == [account["id"]]
    assert (await api.get("account"))["id"] == plain.world.platform

    customer = await api.post("customers", name="A")
    portal = await api.post("billing_portal/sessions", customer=customer["id"], return_url="https://app.example.com")
    assert portal["url"].startswith("https://billing.stripe.com/p/session/")


async def test_setup_intents_and_the_balance(api: Api) -> None:
    customer = await api.post("customers", name="A")
    kept = await api.post("setup_intents", customer=customer["id"], confirm="true", payment_method="pm_card_visa")
    assert kept["status"] == "succeeded"
    refused = await api.refused("setup_intents", confirm="true", payment_method="pm_card_chargeDeclined")
    assert refused["setup_intent"]["status"] == "requires_payment_method"

    paid = await api.post(
        "payment_intents",
        amount="1000",
        currency="usd",
        customer=customer["id"],
        payment_method=kept["payment_method"],
        confirm="true",
        off_session="true",
        expand__0="latest_charge.balance_transaction",
    )
    assert paid["latest_charge"]["balance_transaction"]["net"] == 1000 - 59
    balance = await api.get("balance")
    assert balance["pending"] == [{"amount": 941, "currency": "usd", "source_types": {"card": 941}}]


async def test_webhook_endpoints_tell_their_secret_once(api: Api) -> None:
    made = await api.post("webhook_endpoints", url="https://app.example.com/hook", enabled_events__0="invoice.paid")
    assert made["secret"].startswith("whsec_")
    (listed,) = (await api.get("webhook_endpoints"))["data"]
    assert "secret" not in listed
    await api.delete(f"webhook_endpoints/{made['id']}")
    assert (await api.get("webhook_endpoints"))["data"] == []


async def test_checkout_refuses_what_stripe_refuses(api: Api, plain: StripeDouble) -> None:
    base = {"mode": "payment", "success_url": "https://app.example.com/ok"}
    line = {
        "line_items__0__price_data__currency": "usd",
        "line_items__0__price_data__product_data__name": "Tea",
        "line_items__0__price_data__unit_amount": "900",
    }
    whole = {**base, **line, "line_items__0__quantity": "1"}
    refusals = {
        "line_items": base,
        "line_items[0][quantity]": {**base, **line},
        "success_url": {**whole, "success_url": "/ok"},
        "expires_at": {**whole, "expires_at": str(NOW + 60)},
        "ui_mode": {**whole, "ui_mode": "hosted"},
        "subscription_data": {**whole, "subscription_data__trial_period_days": "3"},
        "mode": {**whole, "mode": "gift"},
    }
    assert {(await api.refused("checkout/sessions", **data)).get("param") for data in refusals.values()} == set(
        refusals
    )
    assert (await api.refused("checkout/sessions", **{**whole, "mode": "subscription"}))["param"] == "line_items"
    small = {**whole, "line_items__0__price_data__unit_amount": "10"}
    assert (await api.refused("checkout/sessions", **small))["code"] == "amount_too_small"
    assert plain.sessions == []
    assert plain.all("price") == []
