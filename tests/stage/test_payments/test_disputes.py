"""Disputes and refunds as an app's books must follow them: events, money and what an update says was before."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from holdtrue.stage.payments import Event, StripeDouble

Call = Callable[..., Awaitable[Any]]
DAY = 24 * 3600


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


@pytest.fixture
def paid(client: stripe.StripeClient, call: Call) -> Callable[..., Awaitable[str]]:
    async def pay(card: str = "pm_card_visa", amount: int = 5000) -> str:
        params = {"amount": amount, "currency": "usd", "payment_method": card, "confirm": True}
        return str((await call(client.v1.payment_intents.create, params)).latest_charge)

    return pay


async def test_an_inquiry_that_is_escalated_keeps_its_id_and_only_then_takes_the_money(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    charge = await paid()
    opened = double.bank.dispute(charge, inquiry=True)
    inquiry = str(opened[0].object_id)
    assert double.latest("dispute")["balance_transactions"] == []

    escalated = double.bank.escalate(inquiry)
    assert types(escalated) == ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]
    assert escalated[0].object_id == inquiry
    previous = dict(escalated[0].previous or {})
    assert previous["status"] == "warning_needs_response"
    assert previous["payment_method_details"] == {"card": {"case_type": "inquiry"}}
    (withdrawn,) = escalated[1].object["balance_transactions"]
    assert (withdrawn["amount"], withdrawn["fee"], withdrawn["net"]) == (-5000, 1500, -6500)
    assert (withdrawn["type"], withdrawn["reporting_category"]) == ("adjustment", "dispute")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await call(client.v1.refunds.create, {"charge": charge})
    assert caught.value.code == "charge_disputed"
    with pytest.raises(ValueError, match="only an open inquiry"):
        double.bank.escalate(inquiry)

    won = double.bank.close_dispute(inquiry, "won")
    assert types(won) == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    moved = await call(client.v1.balance_transactions.list, {"source": inquiry})
    assert [(one.amount, one.fee, one.reporting_category) for one in moved.data] == [
        (5000, 0, "dispute_reversal"),
        (-5000, 1500, "dispute"),
    ]


async def test_a_lost_dispute_leaves_the_money_gone_and_the_charge_not_refundable(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    charge = await paid()
    dispute = str(double.bank.dispute(charge, amount=2000)[0].object_id)
    lost = double.bank.close_dispute(dispute, "lost")
    assert types(lost) == ["charge.dispute.closed"]
    assert [entry["amount"] for entry in lost[0].object["balance_transactions"]] == [-2000]
    with pytest.raises(stripe.InvalidRequestError, match="has been charged back"):
        await call(client.v1.refunds.create, {"charge": charge, "amount": 1000})
    with pytest.raises(ValueError, match="cannot be closed"):
        double.bank.close_dispute(dispute, "won")


async def test_a_won_dispute_lets_the_charge_be_refunded_again(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    charge = await paid()
    double.bank.close_dispute(str(double.bank.dispute(charge)[0].object_id), "won")
    refund = await call(client.v1.refunds.create, {"charge": charge})
    assert refund.status == "succeeded"


async def test_evidence_is_submitted_unless_it_is_only_staged_and_may_decide(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    dispute = str(double.bank.dispute(await paid())[0].object_id)
    staged = await call(
        client.v1.disputes.update, dispute, {"evidence": {"product_description": "Tea"}, "submit": False}
    )
    assert (staged.status, staged.evidence_details.submission_count) == ("needs_response", 0)
    noted = await call(client.v1.disputes.update, dispute, {"metadata": {"case": "7"}})
    assert noted.status == "needs_response"
    start = len(double.events)
    params = {"evidence": {"uncategorized_text": "winning_evidence"}}
    decided = await call(client.v1.disputes.update, dispute, params)
    assert (decided.status, decided.evidence.product_description) == ("won", "Tea")
    assert types(list(double.events[start:])) == [
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]


async def test_an_unanswered_dispute_is_lost_and_an_unanswered_inquiry_is_over(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    for inquiry in (False, True):
        double.bank.dispute(await paid(), inquiry=inquiry)
    accepted = str(double.bank.dispute(await paid())[0].object_id)
    assert (await call(client.v1.disputes.close, accepted)).status == "lost"
    assert types(double.advance(8 * DAY)) == ["charge.dispute.closed"] * 2
    assert [one["status"] for one in double.all("dispute")] == ["lost", "warning_closed", "lost"]


async def test_test_cards_bring_the_dispute_or_the_refund_that_they_stand_for(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    await paid("pm_card_createDispute")
    assert types(list(double.events))[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    await paid("pm_card_createDisputeInquiry")
    assert double.latest("dispute")["status"] == "warning_needs_response"
    pending = await call(client.v1.refunds.create, {"charge": await paid("pm_card_pendingRefund")})
    assert (pending.status, pending.pending_reason) == ("pending", "processing")
    await call(client.v1.refunds.create, {"charge": await paid("pm_card_refundFail")})
    assert double.latest("refund")["status"] == "failed"


async def test_partial_refunds_of_one_second_tell_a_cumulative_sum_and_what_it_was(
    double: StripeDouble, client: stripe.StripeClient, call: Call, paid: Callable[..., Awaitable[str]]
) -> None:
    charge = await paid()
    for _ in range(2):
        await call(client.v1.refunds.create, {"charge": charge, "amount": 2500})
    refunded = [event for event in double.events if event.type == "charge.refunded"]
    assert [event.object["amount_refunded"] for event in refunded] == [2500, 5000]
    assert [dict(event.previous or {}) for event in refunded] == [
        {"amount_refunded": 0},
        {"amount_refunded": 2500, "refunded": False},
    ]
    assert refunded[0].created == refunded[1].created
    body = json.loads(double.webhooks.body(refunded[1], "2020-08-27"))["data"]
    assert body["previous_attributes"] == {"amount_refunded": 2500, "refunded": False}
    assert [one["amount"] for one in body["object"]["refunds"]["data"]] == [2500, 2500]


async def test_a_charge_is_not_disputed_above_its_amount(
    double: StripeDouble, paid: Callable[..., Awaitable[str]]
) -> None:
    charge = await paid()
    with pytest.raises(ValueError, match="6000 cannot be disputed"):
        double.bank.dispute(charge, amount=6000)
