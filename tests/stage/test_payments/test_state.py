"""The state can be put back, is the same for the same seed, keeps accounts apart, and is told in plain facts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, StripeDouble

from .conftest import NOW

INTENT = {"amount": "5000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}


@pytest.fixture
async def raw(double: StripeDouble, authority: Authority) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {double.secret_key}"}
    async with httpx.AsyncClient(base_url=double.url, verify=authority.client_context(), headers=headers) as client:
        yield client


async def post(raw: httpx.AsyncClient, path: str, account: str | None = None, **data: str) -> dict[str, Any]:
    headers = {"Stripe-Account": account} if account else {}
    answer = await raw.post(path, data=data, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_state_that_another_double_takes_over_leaves_it_the_secret_that_its_app_knows() -> None:
    first, second = (StripeDouble(authority=None, seed="tests", clock=Clock(lambda: NOW)) for _ in range(2))
    own = second.webhook_secret
    second.restore(first.snapshot())
    assert second.webhook_secret == own
    rolled = first.webhooks.roll()
    second.restore(first.snapshot())
    assert second.webhook_secret == rolled
    assert second.webhooks.secrets[0].value == own


async def test_restoring_brings_back_objects_events_keys_clock_and_calls(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    customer = await post(raw, "/v1/customers", name="A")
    state = double.snapshot()

    async def scenario() -> tuple[Any, ...]:
        double.bank.script_refunds("pending")
        double.advance(100)
        keyed = await raw.post("/v1/customers", data={"name": "B"}, headers={"Idempotency-Key": "k"})
        await post(raw, f"/v1/customers/{customer['id']}", name="changed")
        intent = await post(raw, "/v1/payment_intents", **INTENT)
        refund = await post(raw, "/v1/refunds", payment_intent=intent["id"])
        return keyed.json(), "idempotent-replayed" in keyed.headers, refund, double.ledger(), double.events

    first = await scenario()
    assert first[2]["status"] == "pending"
    double.restore(state)
    assert [one["name"] for one in double.all("customer")] == ["A"]
    assert len(double.events) == 1
    assert len(double.calls) == 1
    assert double.world.clock.now() == NOW

    assert await scenario() == first
    double.restore(state)
    assert [one["name"] for one in double.all("customer")] == ["A"]


async def test_the_same_seed_gives_the_same_ids_and_another_seed_others(
    authority: Authority, double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    made = await post(raw, "/v1/customers", name="A")
    twin, other = (
        StripeDouble(authority=authority, seed=seed, clock=Clock(lambda: NOW)) for seed in ("tests", "others")
    )
    assert twin.secret_key != double.secret_key
    assert twin.world.ids.next("customer") == made["id"]
    assert other.world.ids.next("customer") != made["id"]


async def test_the_objects_of_one_account_are_invisible_to_another(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    red, blue = double.connect(), double.connect("acct_blue")
    own = await post(raw, "/v1/customers", name="platform")
    foreign = await post(raw, "/v1/customers", red, name="red")

    assert (await raw.get(f"/v1/customers/{foreign['id']}")).status_code == 404
    for account in (red, blue):
        hidden = await raw.get(f"/v1/customers/{own['id']}", headers={"Stripe-Account": account})
        assert hidden.json()["error"]["code"] == "resource_missing"
    listed = await raw.get("/v1/customers", headers={"Stripe-Account": red})
    assert [one["name"] for one in listed.json()["data"]] == ["red"]

    assert [event.account for event in double.events] == [None, red]
    events = await raw.get("/v1/events", headers={"Stripe-Account": red})
    assert [event["account"] for event in events.json()["data"]] == [red]
    assert [event.get("account") for event in (await raw.get("/v1/events")).json()["data"]] == [None]
    assert [call.account for call in double.calls[:2]] == [None, red]


async def test_the_ledger_tells_the_money_and_not_the_order(
    authority: Authority, double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    async def buy(amounts: list[str]) -> dict[str, Any]:
        for amount in amounts:
            intent = await post(raw, "/v1/payment_intents", **{**INTENT, "amount": amount})
            await post(raw, "/v1/refunds", payment_intent=intent["id"], amount="100")
        facts = double.ledger()["platform"]
        for kind in ("charges", "refunds"):
            facts[kind] = [{name: value for name, value in one.items() if name != "charge"} for one in facts[kind]]
        return dict(facts)

    state = double.snapshot()
    rising = await buy(["700", "900"])
    double.restore(state)
    falling = await buy(["900", "700"])

    assert rising == falling
    assert rising["captured"] == {"usd": 1600}
    assert rising["refunded"] == {"usd": 200}


async def test_the_record_of_calls_hides_secrets(double: StripeDouble, raw: httpx.AsyncClient) -> None:
    intent = await post(raw, "/v1/payment_intents", **INTENT)
    endpoint = await post(raw, "/v1/webhook_endpoints", url="https://app.example.com/hook", **{"enabled_events[]": "*"})
    await raw.post("/v1/payment_methods", data={"type": "card", "card[number]": "4242424242424242", "card[cvc]": "123"})

    shown = repr(double.calls)
    for secret in (intent["client_secret"], endpoint["secret"], "4242424242424242", double.secret_key):
        assert secret not in shown
    assert double.calls[1].response is not None
    (registered,) = double.webhooks.endpoints()
    assert (registered.url, registered.secrets[0].value) == (endpoint["url"], endpoint["secret"])
    assert endpoint["secret"] not in repr(registered)
    reread = (await raw.get(f"/v1/webhook_endpoints/{endpoint['id']}")).json()
    assert "secret" not in reread


async def test_asking_for_what_the_app_never_made_says_what_it_did(
    double: StripeDouble, raw: httpx.AsyncClient
) -> None:
    await post(raw, "/v1/customers", name="A")
    with pytest.raises(LookupError, match=r"no checkout.session at Stripe.*POST /v1/customers"):
        double.latest("checkout.session")
    with pytest.raises(KeyError, match="no object 'cs_nothing'"):
        double.customer.pay("cs_nothing")
    with pytest.raises(ValueError, match="restore a snapshot"):
        double.advance(-1)
