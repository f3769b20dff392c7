"""Every object has what the SDK's types promise, in the newest version; older versions have their own shapes."""

import ast
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from holdtrue.stage import payments
from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, StripeDouble, versions
from holdtrue.stage.payments.parameters import KNOWN
from holdtrue.stage.payments.service import ROUTES

from . import sdk_types
from .calls import TABLE
from .conftest import NOW
from .hands import PythonHand, run
from .sdk_types import SDK

NESTED = {"item", "line_item", "list", "plan", "search_result", "subscription_item"}
PRO = {
    "line_items[0][quantity]": "2",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "1500",
    "line_items[0][price_data][product_data][name]": "Pro",
    "line_items[0][price_data][recurring][interval]": "week",
}


@pytest.fixture
async def busy(authority: Authority) -> AsyncIterator[tuple[StripeDouble, httpx.AsyncClient]]:
    """A double in which a good deal has happened."""
    double = StripeDouble(authority=authority, seed="shapes", clock=Clock(lambda: NOW))
    await double.start()
    headers = {"Authorization": f"Bearer {double.secret_key}"}
    async with httpx.AsyncClient(base_url=double.url, verify=authority.client_context(), headers=headers) as raw:
        url = {"success_url": "https://app.example.com/ok"}
        subscribe = await raw.post("/v1/checkout/sessions", data={"mode": "subscription", **url, **PRO})
        double.customer.pay(subscribe.json()["id"])
        customer = double.latest("customer")["id"]
        setup = await raw.post("/v1/checkout/sessions", data={"mode": "setup", "currency": "usd", **url})
        double.customer.pay(setup.json()["id"])
        card = {"amount": "900", "currency": "usd", "confirm": "true", "customer": customer}
        for method in ("pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_card_visa"):
            await raw.post("/v1/payment_intents", data={**card, "payment_method": method})
        charge = double.latest("charge")["id"]
        await raw.post("/v1/refunds", data={"charge": charge, "amount": "100"})
        double.bank.dispute(charge)
        await raw.post("/v1/webhook_endpoints", data={"url": "https://x.example.com", "enabled_events[0]": "*"})
        await raw.post("/v1/accounts", data={"type": "express"})
        double.advance(8 * 24 * 3600)
        yield double, raw
    await double.close()
    assert double.crashes == []
    assert double.unmodelled == []


def told(double: StripeDouble) -> list[dict[str, Any]]:
    """Every event, as it is delivered in the newest version."""
    return [json.loads(double.webhooks.body(event, versions.LATEST)) for event in double.events]


def in_source() -> Iterator[tuple[str, str]]:
    """The kinds of object that the double makes, and the types of event that it emits, by the words in its source."""
    for path in Path(inspect.getfile(payments)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                kinds = {_text(key): _text(value) for key, value in pairs}
                if kinds.get("object"):
                    yield "kind", kinds["object"]
            elif _text(node) in sdk_types.event_types():
                yield "event", _text(node)


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


async def test_every_object_and_event_is_what_the_sdk_types_promise(
    double: StripeDouble, client: stripe.StripeClient
) -> None:
    seen = await run(TABLE, double, PythonHand(client))
    made = [one for store in double.world.accounts.values() for kind in store.kinds for one in double.all(kind)]
    answers = [outcome["value"] for _, outcome in seen if isinstance(outcome, dict) and "value" in outcome]
    events = told(double)
    faults = {fault for one in (*made, *answers) for fault in sdk_types.faults(one)}
    faults |= {fault for event in events for fault in sdk_types.event_faults(event)}
    assert sorted(faults) == []

    kinds = {one["object"] for one in (*made, *answers)} | {"event"}
    assert {kind for what, kind in in_source() if what == "kind"} - kinds - NESTED == set()
    assert {type_ for what, type_ in in_source() if what == "event"} - {event["type"] for event in events} == set()


async def test_every_event_can_be_told_in_every_version(double: StripeDouble, client: stripe.StripeClient) -> None:
    await run(TABLE, double, PythonHand(client))
    for version in ("2020-08-27", "2022-11-15", "2024-06-20", "2025-03-31.basil", "2025-09-30.clover"):
        bodies = [json.loads(double.webhooks.body(event, version)) for event in double.events]
        assert {one["api_version"] for one in bodies} == {version}
        subscriptions = [one["data"] for one in bodies if one["data"]["object"]["object"] == "subscription"]
        early = version < versions.BASIL
        assert {"current_period_end" in data["object"] for data in subscriptions} == {early}
        renewed = [data for data in subscriptions if "current_period_end" in data.get("previous_attributes", {})]
        assert bool(renewed) == early
        assert all("items" not in data["previous_attributes"] for data in renewed)


async def test_before_basil_periods_and_invoices_hang_where_they_used_to(
    busy: tuple[StripeDouble, httpx.AsyncClient],
) -> None:
    double, raw = busy
    subscription, invoice = double.latest("subscription"), double.all("invoice")[0]
    old = {"Stripe-Version": "2024-06-20"}

    new = (await raw.get(f"/v1/subscriptions/{subscription['id']}")).json()
    assert "current_period_end" not in new
    past = (await raw.get(f"/v1/subscriptions/{subscription['id']}", headers=old)).json()
    assert past["current_period_end"] == new["items"]["data"][0]["current_period_end"]
    assert "current_period_end" not in past["items"]["data"][0]
    assert past["quantity"] == 2

    expand = {"expand[]": "payment_intent.latest_charge"}
    answer = await raw.get(f"/v1/invoices/{invoice['id']}", headers=old, params=expand)
    bill = answer.json()
    assert answer.headers["stripe-version"] == "2024-06-20"
    assert (bill["subscription"], bill["paid"]) == (subscription["id"], True)
    assert bill["payment_intent"]["latest_charge"]["id"] == bill["charge"]
    assert bill["payment_intent"]["invoice"] == invoice["id"]
    assert bill["lines"]["data"][0]["price"]["unit_amount"] == 1500
    assert "parent" not in bill
    assert invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
    refused = await raw.get(f"/v1/invoices/{invoice['id']}", params=expand)
    assert "cannot be expanded" in refused.json()["error"]["message"]


async def test_before_november_2022_charges_and_refunds_came_along_unasked(
    busy: tuple[StripeDouble, httpx.AsyncClient],
) -> None:
    double, raw = busy
    charge = next(one for one in double.all("charge") if one["amount_refunded"])
    old = {"Stripe-Version": "2020-08-27"}
    intent = (await raw.get(f"/v1/payment_intents/{charge['payment_intent']}", headers=old)).json()
    assert intent["charges"]["data"][0]["refunds"]["data"][0]["amount"] == 100
    assert "charges" not in (await raw.get(f"/v1/payment_intents/{charge['payment_intent']}")).json()
    assert (await raw.get("/v1/customers", headers={"Stripe-Version": "soon"})).status_code == 400


async def test_an_endpoint_of_an_older_version_gets_older_shapes(
    busy: tuple[StripeDouble, httpx.AsyncClient],
) -> None:
    double, _ = busy
    paid = next(event for event in double.events if event.type == "invoice.paid")
    body = double.webhooks.body(paid, "2023-10-16").decode()
    assert '"api_version": "2023-10-16"' in body
    assert '"payment_intent": "pi_' in body


def test_the_known_parameters_are_those_of_the_sdk() -> None:
    assert stripe.api_version == versions.LATEST
    defined: dict[str, set[str]] = {}
    resources = {path.split("/")[2].removesuffix("s") for _, path in KNOWN} - {"checkout", "billing_portal"}
    ours = [path for one in resources for path in (SDK / "params").glob(f"_{one}_*_params.py")]
    for path in [
        *ours,
        *(path for one in ("checkout", "billing_portal") for path in (SDK / "params" / one).glob("_*.py")),
    ]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                names = {ast.unparse(child.target) for child in node.body if isinstance(child, ast.AnnAssign)}
                defined[f"{path.parent.name}/{node.name}"] = names - {"expand"}
    groups = {frozenset(names) for names in defined.values()}
    assert set(KNOWN) <= {(route.method, route.path) for route in ROUTES}
    assert [operation for operation, names in KNOWN.items() if names not in groups] == []
    assert KNOWN["POST", "/v1/refunds"] == defined["params/RefundCreateParams"]
    assert KNOWN["POST", "/v1/checkout/sessions"] == defined["checkout/SessionCreateParams"]


async def test_the_comparison_finds_what_is_wrong(busy: tuple[StripeDouble, httpx.AsyncClient]) -> None:
    double, _ = busy
    sound = double.latest("subscription")
    assert list(sdk_types.faults(sound)) == []
    entry = {**sound["items"]["data"][0], "quantity": "2"}
    wrong = {
        "cancel_at_period_end": None,
        "status": "dormant",
        "colour": "red",
        "trial_settings": {"end_behavior": {"missing_payment_method": "ask"}},
        "items": {**sound["items"], "data": [entry]},
    }
    found = [fault for name, value in wrong.items() for fault in sdk_types.faults({**sound, name: value})]
    assert [fault.split(" is ")[0] for fault in found] == [
        "subscription.cancel_at_period_end",
        "subscription.status",
        "subscription.colour",
        "subscription.trial_settings.end_behavior.missing_payment_method",
        "subscription_item.quantity",
    ]
    event = {**told(double)[0], "type": "charge.refunded"}
    assert any("is about a" in fault for fault in sdk_types.event_faults(event))
    assert any("not one of" in fault for fault in sdk_types.event_faults({**event, "type": "charge.vanished"}))
