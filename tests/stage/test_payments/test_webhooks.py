"""Deliveries: the official SDK accepts the genuine ones, in every rotation, and refuses each forgery."""

import dataclasses
import json
import time
from collections.abc import AsyncIterator

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
