"""Every object has what the SDK's types promise, in the newest version; older versions have their own shapes."""

import ast
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from stripe._object_classes import OBJECT_CLASSES

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, StripeDouble, versions
from holdtrue.stage.payments.parameters import KNOWN
from holdtrue.stage.payments.service import ROUTES

from .conftest import NOW

PRO = {
    "line_items[0][quantity]": "2",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "1500",
    "line_items[0][price_data][product_data][name]": "Pro",
    "line_items[0][price_data][recurring][interval]": "week",
}
SDK = Path(inspect.getfile(stripe)).parent


class Types:
    """What the SDK's generated classes say of an object, read from their source."""

    def __init__(self) -> None:
        self._read: dict[str, ast.ClassDef] = {}

    def of(self, kind: object) -> ast.ClassDef | None:
        if not isinstance(kind, str) or kind == "list" or kind not in OBJECT_CLASSES:
            return None
        if kind not in self._read:
            module, name = OBJECT_CLASSES[kind]
            source = (SDK.parent / module.replace(".", "/")).with_suffix(".py").read_text()
            classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name]
            self._read[kind] = classes[0]
        return self._read[kind]

    def faults(self, value: dict[str, Any], node: ast.ClassDef, where: str) -> Iterator[str]:
        inner = {child.name: child for child in node.body if isinstance(child, ast.ClassDef)}
        fields = {
            child.target.id: child.annotation
            for child in node.body
            if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)
        }
        for name, annotation in fields.items():
            text = ast.unparse(annotation)
            if text.startswith("ClassVar"):
                continue
            if value.get(name) is None:
                if not text.startswith("Optional["):
                    yield f"{where}.{name} is missing: {text}"
                continue
            yield from self._field(value[name], annotation, inner, f"{where}.{name}")
        for name in value.keys() - fields.keys():
            yield f"{where}.{name} is unknown to the SDK"

    def _field(self, value: Any, annotation: ast.expr, inner: dict[str, ast.ClassDef], where: str) -> Iterator[str]:
        plain = ast.unparse(annotation).removeprefix("Optional[")
        kinds = {"int": int, "bool": bool, "str": str}
        kind = kinds.get(plain.rstrip("]"))
        if kind is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            yield f"{where} is {value!r}, not {plain}"
        if plain.startswith(("Literal[", "Union[Literal[")) and isinstance(value, str):
            allowed = [node.value for node in ast.walk(annotation) if isinstance(node, ast.Constant)]
            if value not in allowed:
                yield f"{where} is {value!r}, not one of {allowed}"
        name = plain.removeprefix("List[").rstrip("]")
        if name in inner:
            for entry in value if isinstance(value, list) else [value]:
                yield from self.faults(entry, inner[name], where)

    def all_faults(self, value: Any, where: str) -> Iterator[str]:
        if isinstance(value, list):
            for entry in value:
                yield from self.all_faults(entry, where)
        elif isinstance(value, dict):
            node = self.of(value.get("object"))
            if node is not None:
                yield from self.faults(value, node, str(value["object"]))
            for name, child in value.items():
                yield from self.all_faults(child, f"{where}.{name}")


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


async def test_every_object_and_event_is_what_the_sdk_types_promise(
    busy: tuple[StripeDouble, httpx.AsyncClient],
) -> None:
    double, raw = busy
    types = Types()
    kinds = sorted(kind for store in double.world.accounts.values() for kind in store.kinds)
    assert len(kinds) >= 15
    faults = [fault for kind in kinds for fault in types.all_faults(double.all(kind), kind)]
    events = (await raw.get("/v1/events", params={"limit": "100"})).json()["data"]
    assert len(events) > 30
    faults += types.all_faults(events, "events")
    assert sorted(set(faults)) == []


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
