"""Deliveries: the official SDK accepts the genuine ones, in every rotation, and refuses each forgery."""

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import FORGERIES, Clock, Delivery, Event, Forgery, StripeDouble


@pytest.fixture
async def present(authority: Authority) -> AsyncIterator[StripeDouble]:
    """A double that lives in the present, as the SDK compares signatures with the wall clock."""
    yield StripeDouble(authority=authority, seed="hooks", clock=Clock(time.time))


@pytest.fixture
def event(present: StripeDouble) -> Event:
    return present.emit("invoice.paid", {"id": "in_1", "object": "charge", "amount": 500, "metadata": {"name": "Zoë"}})


def verify(delivery: Delivery, secret: str) -> stripe.Event:
    signature = dict(delivery.headers).get("Stripe-Signature")
    return stripe.Webhook.construct_event(delivery.body, signature, secret)


def test_the_sdk_accepts_a_genuine_delivery(present: StripeDouble, event: Event) -> None:
    seen = verify(present.webhooks.delivery(event), present.webhook_secret)
    assert (seen.id, seen.type, seen.data.object.amount) == (event.id, "invoice.paid", 500)
    assert seen.data.object.metadata.to_dict() == {"name": "Zoë"}
    assert seen.livemode is False


@pytest.mark.parametrize("how", [how for how in FORGERIES if how != "future"])
def test_the_sdk_refuses_every_forgery(present: StripeDouble, event: Event, how: Forgery) -> None:
    with pytest.raises(stripe.SignatureVerificationError):
        verify(present.webhooks.forge(event, how), present.webhook_secret)


def test_the_sdk_does_not_notice_a_signature_from_the_future(present: StripeDouble, event: Event) -> None:
    assert verify(present.webhooks.forge(event, "future"), present.webhook_secret).id == event.id


def test_a_tampered_body_differs_in_its_money_and_the_empty_secret_signs_what_it_claims(
    present: StripeDouble, event: Event
) -> None:
    tampered = json.loads(present.webhooks.forge(event, "tampered_body").body)
    assert tampered["data"]["object"]["amount"] == 10500
    empty = present.webhooks.forge(event, "empty_secret")
    signature = dict(empty.headers)["Stripe-Signature"]
    at = int(signature.split(",")[0].removeprefix("t="))
    expected = stripe.WebhookSignature._compute_signature(f"{at}.{empty.body.decode()}", "")
    assert f"v1={expected}" in signature


def test_during_a_rotation_either_secret_verifies(present: StripeDouble, event: Event) -> None:
    delivery = present.webhooks.delivery(event, secret=["whsec_old", "whsec_new"])
    assert verify(delivery, "whsec_old").id == verify(delivery, "whsec_new").id == event.id
    with pytest.raises(stripe.SignatureVerificationError):
        verify(delivery, present.webhook_secret)


def test_a_duplicate_has_the_same_bytes_and_a_fresh_signature(present: StripeDouble, event: Event) -> None:
    first = present.webhooks.delivery(event, at=1_790_000_000)
    again = present.webhooks.delivery(event, at=1_790_000_007)
    assert again.body == first.body
    assert dict(again.headers)["Stripe-Signature"].startswith("t=1790000007,")
    assert dict(first.headers)["Stripe-Signature"] != dict(again.headers)["Stripe-Signature"]


def test_a_body_parsed_and_written_anew_no_longer_verifies(present: StripeDouble, event: Event) -> None:
    delivery = present.webhooks.delivery(event)
    signature = dict(delivery.headers)["Stripe-Signature"]
    rewritten = json.dumps(json.loads(delivery.body))
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(rewritten, signature, present.webhook_secret)


def test_an_event_can_be_made_to_claim_live_mode(present: StripeDouble, event: Event) -> None:
    live = present.webhooks.delivery(dataclasses.replace(event, livemode=True))
    assert verify(live, present.webhook_secret).livemode is True


def test_secrets_do_not_show_in_representations(present: StripeDouble, event: Event) -> None:
    delivery = present.webhooks.delivery(event)
    assert "Stripe-Signature" not in repr(delivery)
    assert present.webhook_secret not in repr(present.webhooks)


async def register(
    double: StripeDouble, types: list[str], *, account: str | None = None, **fields: str
) -> dict[str, Any]:
    """A webhook endpoint, through the API."""
    data = {"url": f"https://app.example.com/{len(double.webhooks.endpoints())}", **fields}
    data |= {f"enabled_events[{at}]": type_ for at, type_ in enumerate(types)}
    headers = {"Authorization": f"Bearer {double.secret_key}"}
    if account is not None:
        headers["Stripe-Account"] = account
    async with httpx.AsyncClient(base_url=double.url, headers=headers) as http:
        return dict((await http.post("/v1/webhook_endpoints", data=data)).raise_for_status().json())


@pytest.fixture
async def served() -> AsyncIterator[StripeDouble]:
    double = StripeDouble(authority=None, seed="hooks", clock=Clock(time.time))
    await double.start()
    yield double
    await double.close()
    assert double.crashes == []


async def test_each_endpoint_hears_what_it_asked_for_with_its_own_secret_and_version(served: StripeDouble) -> None:
    everything = await register(served, ["*"], api_version="2024-06-20")
    paid = await register(served, ["invoice.paid"])
    served.emit("customer.created", {"id": "cus_1", "object": "customer"})
    event = served.emit("invoice.paid", {"id": "in_1", "object": "charge"})

    old, new = served.webhooks.deliveries(event)
    assert (old.url, new.url) == (everything["url"], paid["url"])
    assert verify(old, everything["secret"]).api_version == "2024-06-20"
    assert verify(new, paid["secret"]).api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        verify(old, paid["secret"])
    assert [one.url for one in served.webhooks.deliveries(served.events[0])] == [everything["url"]]


async def test_connect_endpoints_hear_of_connected_accounts_and_the_others_of_their_own(served: StripeDouble) -> None:
    shop = served.connect()
    own = await register(served, ["*"])
    connect = await register(served, ["*"], connect="true")
    theirs = await register(served, ["*"], account=shop)
    ours = served.emit("customer.created", {"id": "cus_1", "object": "customer"})
    foreign = served.emit("customer.created", {"id": "cus_2", "object": "customer"}, account=shop)

    assert [one.url for one in served.webhooks.deliveries(ours)] == [own["url"]]
    told = {one.url: json.loads(one.body).get("account") for one in served.webhooks.deliveries(foreign)}
    assert told == {connect["url"]: shop, theirs["url"]: None}


async def test_a_rolled_secret_signs_beside_the_new_one_for_a_while(served: StripeDouble) -> None:
    endpoint = await register(served, ["*"])
    event = served.emit("invoice.paid", {"id": "in_1", "object": "charge"})
    start = served.snapshot()
    configured = served.webhook_secret
    new, ours = served.webhooks.roll(endpoint["id"]), served.webhooks.roll(overlap=3600)
    assert served.webhook_secret == ours != configured
    (delivery,) = served.webhooks.deliveries(event)
    assert verify(delivery, endpoint["secret"]).id == verify(delivery, new).id == event.id
    both = served.webhooks.delivery(event)
    assert verify(both, configured).id == verify(both, ours).id == event.id

    at = int(time.time())
    served.advance(24 * 3600)
    (delivery,) = served.webhooks.deliveries(event, at=at)
    assert verify(delivery, new).id == event.id
    for late, retired in ((delivery, endpoint["secret"]), (served.webhooks.delivery(event, at=at), configured)):
        with pytest.raises(stripe.SignatureVerificationError):
            verify(late, retired)
    served.restore(start)
    assert served.webhook_secret == configured


async def test_a_secret_that_is_rolled_without_overlap_is_worthless_at_once(served: StripeDouble) -> None:
    configured = served.webhook_secret
    served.webhooks.roll(overlap=0)
    event = served.emit("invoice.paid", {"id": "in_1", "object": "charge"})
    with pytest.raises(stripe.SignatureVerificationError):
        verify(served.webhooks.delivery(event), configured)
