"""Webhooks: what is believed, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from modules.payments.conftest import Shop, environ
from modules.payments.kiosk import assembled

from holdtrue.assembly.testing import Postgres, running
from holdtrue.modules.payments.adapters.sessions import session_params
from holdtrue.modules.payments.models import Checkout
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import Fault, Faults
from holdtrue.stage.payments import FORGERIES, StripeDouble


async def test_forged_stale_and_future_events_are_refused_and_leave_nothing(shop: Shop) -> None:
    (event, *_) = shop.stripe.customer.abandon(await shop.session(await shop.order()))
    for forgery in FORGERIES:
        answer = await shop.post(shop.stripe.webhooks.forge(event, forgery))
        assert (answer.status_code, answer.json()["code"]) == (400, "payments.not_signed"), forgery
    assert await shop.rows("holdtrue_inbox") == []
    assert (await shop.deliver(event)).status_code == 200
    assert len(await shop.rows("holdtrue_inbox")) == 1


async def test_the_tolerance_bounds_both_ways(shop: Shop) -> None:
    (event, *_) = shop.stripe.customer.abandon(await shop.session(await shop.order()))
    now = shop.stripe.world.clock.now()
    for offset, expected in ((-330, 400), (330, 400), (-200, 200), (200, 200)):
        assert (await shop.deliver(event, at=now + offset)).status_code == expected, offset


async def test_old_and_new_secret_count_while_one_replaces_the_other(shop: Shop) -> None:
    (event, *_) = shop.stripe.customer.abandon(await shop.session(await shop.order()))
    old, new = f"whsec_{'old' * 8}", shop.stripe.webhook_secret
    for secrets in ([old], [new], [old, "whsec_of_somebody_else_entirely"], ["whsec_of_somebody_else_entirely", new]):
        assert (await shop.deliver(event, secret=secrets)).status_code == 200, secrets


async def test_events_of_another_mode_or_account_are_refused(shop: Shop) -> None:
    (event, *_) = shop.stripe.customer.abandon(await shop.session(await shop.order()))
    for foreign in (replace(event, livemode=True), replace(event, account=shop.stripe.connect())):
        answer = await shop.deliver(foreign)
        assert (answer.status_code, answer.json()["code"]) == (400, "payments.not_ours")
    assert await shop.rows("holdtrue_inbox") == []


async def test_twenty_deliveries_at_once_are_one_piece_of_work_and_one_grant(shop: Shop) -> None:
    order = await shop.order()
    events = shop.stripe.customer.pay(await shop.session(order))
    answers = await asyncio.gather(*(shop.deliver(event) for event in events for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    await shop.kit.work()
    await shop.happen(events)
    assert await shop.status(order) == ("paid", 1)
    assert await shop.one("SELECT count(*) FROM holdtrue_inbox") == 1  # the one type of them that counts


async def test_what_a_rightly_signed_event_claims_is_not_believed(shop: Shop) -> None:
    """Stripe sends old snapshots; whoever learns a secret sends inventions. Only what Stripe answers counts."""
    order, other = await shop.order(), await shop.order(9000)
    session = await shop.session(order)
    await shop.session(other)
    for open_session in shop.stripe.sessions:
        claim = {**open_session, "status": "complete", "payment_status": "paid", "payment_intent": "pi_x"}
        await shop.happen([shop.stripe.emit("checkout.session.completed", claim)])
    assert {row["status"] for row in await shop.rows("orders")} == {"pending"}
    shop.stripe.customer.pay(session)
    # An event about one session, of whatever type, brings what is true of it now.
    (event,) = [each for each in shop.stripe.events if each.type == "checkout.session.completed"][-1:]
    await shop.happen([replace(event, object={**event.object, "amount_total": 1, "client_reference_id": other})])
    assert await shop.status(order) == ("paid", 1)
    assert await shop.status(other) == ("pending", 0)
    assert await shop.one("SELECT amount FROM payments") == 4000


async def test_events_that_nobody_listens_to_are_answered_and_forgotten(shop: Shop) -> None:
    event = shop.stripe.emit("tax.settings.updated", {"id": "txs_1", "object": "tax.settings"})
    assert (await shop.deliver(event)).json() == {"new": False}
    assert await shop.rows("holdtrue_inbox") == []


async def test_objects_of_somebody_else_at_the_same_account_change_nothing(shop: Shop) -> None:
    ports = shop.kit.port(PaymentsPorts)
    params = session_params(
        Checkout(
            id=uuid4(),
            purchase={"kind": "payment", "reference": "x", "lines": [{"name": "Other", "unit_amount": 500}]},
            return_url="https://other.example",
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        ),
        None,
    )
    made = await ports.stripe.create_session(uuid4(), params)
    events = shop.stripe.customer.pay(made.id)
    events += shop.stripe.bank.refund(shop.stripe.latest("charge")["id"], 100)
    await shop.happen(events)
    assert await shop.rows("payments") == []
    assert {row["state"] for row in await shop.rows("holdtrue_inbox")} == {"done"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAYMENTS_STRIPE_WEBHOOK_SECRETS", ""),
        ("PAYMENTS_STRIPE_WEBHOOK_SECRETS", "whsec_"),
        ("PAYMENTS_STRIPE_WEBHOOK_SECRETS", "changeme"),
        ("PAYMENTS_STRIPE_API_KEY", "pk_test_1234567890abcdef"),
        ("PAYMENTS_RETURN_URL", "http://kiosk.example/paid"),
        ("PAYMENTS_STRIPE_API_BASE", "http://stripe.example"),
        ("PAYMENTS_STRIPE_APIKEY", "misspelt"),
    ],
)
async def test_a_weak_missing_or_misspelt_setting_is_refused_at_boot(
    postgres: Postgres, stripe: StripeDouble, name: str, value: str
) -> None:
    with pytest.raises((Fault, Faults), match=name) as refused:
        async with running(assembled(), postgres, environ=environ(stripe) | {name: value}):
            pass
    assert "SECRETS" not in name or value in ("", "whsec_") or value not in str(refused.value)
