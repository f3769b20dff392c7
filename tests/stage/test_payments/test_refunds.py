"""Refunds never exceed what was captured, and the bank may change its mind; disputes move money and back."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from holdtrue.stage.payments import StripeDouble

Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def charge(client: stripe.StripeClient, call: Call) -> str:
    """A captured charge of 50.00 USD."""
    intent = await call(
        client.v1.payment_intents.create,
        {"amount": 5000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True},
    )
    return str(intent.latest_charge)


async def refused(call: Call, client: stripe.StripeClient, **params: Any) -> tuple[str | None, str | None, str]:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await call(client.v1.refunds.create, params)
    return caught.value.code, caught.value.param, str(caught.value.user_message)


async def test_refunds_add_up_to_what_was_captured_and_no_further(
    double: StripeDouble, client: stripe.StripeClient, call: Call, charge: str
) -> None:
    message = "Refund amount ($60.00) is greater than charge amount ($50.00)"
    assert await refused(call, client, charge=charge, amount=6000) == (None, "amount", message)
    await call(client.v1.refunds.create, {"charge": charge, "amount": 3000})
    message = "Refund amount ($20.01) is greater than unrefunded amount on charge ($20.00)"
    assert await refused(call, client, charge=charge, amount=2001) == (None, "amount", message)
    rest = await call(client.v1.refunds.create, {"charge": charge})
    assert rest.amount == 2000
    code, _, message = await refused(call, client, charge=charge)
    assert (code, message) == ("charge_already_refunded", f"Charge {charge} has already been refunded.")

    after = await call(client.v1.charges.retrieve, charge, {"expand": ["refunds"]})
    assert (after.refunded, after.amount_refunded) == (True, 5000)
    assert [refund.amount for refund in after.refunds.data] == [2000, 3000]
    assert double.ledger()["platform"]["refunded"] == {"usd": 5000}


async def test_two_equal_partial_refunds_are_two_refunds(
    double: StripeDouble, client: stripe.StripeClient, call: Call, charge: str
) -> None:
    for _ in range(2):
        await call(client.v1.refunds.create, {"charge": charge, "amount": 1000})

    told = [event.object["amount_refunded"] for event in double.events if event.type == "charge.refunded"]
    assert told == [1000, 2000]
    assert len({event.id for event in double.events}) == len(double.events)


async def test_a_pending_refund_counts_until_it_fails(
    double: StripeDouble, client: stripe.StripeClient, call: Call, charge: str
) -> None:
    double.bank.script_refunds("pending")
    pending = await call(client.v1.refunds.create, {"charge": charge, "amount": 4000})
    assert pending.status == "pending"
    assert (await refused(call, client, charge=charge, amount=2000))[1] == "amount"

    events = double.bank.settle_refund(pending.id, "failed")
    assert [event.type for event in events] == ["refund.failed", "refund.updated", "charge.refund.updated"]
    assert events[0].object["failure_reason"] == "lost_or_stolen_card"
    assert double.latest("charge")["amount_refunded"] == 0
    again = await call(client.v1.refunds.create, {"charge": charge, "amount": 5000})
    assert again.status == "succeeded"
    with pytest.raises(ValueError, match="it cannot become succeeded"):
        double.bank.settle_refund(pending.id, "succeeded")


async def test_a_dispute_blocks_refunds_and_a_won_one_brings_the_money_back(
    double: StripeDouble, client: stripe.StripeClient, call: Call, charge: str
) -> None:
    opened = double.bank.dispute(charge)
    assert [event.type for event in opened] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert (await refused(call, client, charge=charge, amount=100))[0] == "charge_disputed"

    dispute = str(opened[0].object_id)
    closed = double.bank.close_dispute(dispute, "won")
    assert [event.type for event in closed] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    moved = [entry["amount"] for entry in double.latest("dispute")["balance_transactions"]]
    assert moved == [-5000, 5000]
    seen = await call(client.v1.disputes.retrieve, dispute)
    assert seen.status == "won"


async def test_an_inquiry_moves_no_money_and_leaves_the_charge_refundable(
    double: StripeDouble, client: stripe.StripeClient, call: Call, charge: str
) -> None:
    opened = double.bank.dispute(charge, inquiry=True)
    assert [event.type for event in opened] == ["charge.dispute.created"]
    refund = await call(client.v1.refunds.create, {"charge": charge, "amount": 100})
    assert refund.status == "succeeded"
    closed = double.bank.close_dispute(str(opened[0].object_id), "warning_closed")
    assert [event.type for event in closed] == ["charge.dispute.closed"]


async def test_a_refund_in_the_dashboard_is_told_by_event_only(double: StripeDouble, charge: str) -> None:
    calls = len(double.calls)
    events = double.bank.refund(charge, 700)
    assert [event.type for event in events] == ["refund.created", "charge.refunded"]
    assert events[0].request_id is None
    assert len(double.calls) == calls


async def test_an_authorised_payment_is_refundable_only_once_captured(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    params = {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    intent = await call(client.v1.payment_intents.create, {**params, "capture_method": "manual"})
    assert intent.status == "requires_capture"
    _, param, message = await refused(call, client, payment_intent=intent.id)
    assert (param, message) == (
        "payment_intent",
        f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
    )
    captured = await call(client.v1.payment_intents.capture, intent.id, {"amount_to_capture": 600})
    assert (captured.status, captured.amount_received) == ("succeeded", 600)
    refund = await call(client.v1.refunds.create, {"payment_intent": intent.id})
    assert refund.amount == 600
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await call(client.v1.payment_intents.cancel, intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"
