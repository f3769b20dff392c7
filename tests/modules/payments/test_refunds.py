"""Money out: never more than came in, never twice, never by one person alone above the threshold."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from modules.payments.conftest import Shop

from holdtrue.modules.payments.errors import OwnRequest
from holdtrue.modules.payments.flows import send_refund
from holdtrue.modules.payments.flows.refund import decide_refund
from holdtrue.runtime import Principal


async def ask(shop: Shop, payment: str, amount: int | None = None, **more: str) -> tuple[int, dict[str, object]]:
    body = {"reason": more.pop("reason", "")} | ({} if amount is None else {"amount": amount})
    answer = await shop.call("POST", f"/payments/{payment}/refunds", body, **more)
    return answer.status_code, answer.json()


async def left(shop: Shop, payment: str) -> int:
    return int((await shop.call("GET", f"/payments/{payment}")).json()["left"])


async def test_partial_refunds_of_one_sum_are_two_and_the_rest_can_follow(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    for amount in (1000, 1000, None):
        assert (await ask(shop, payment, amount))[0] == 202
        await shop.kit.work()
    assert [refund["amount"] for refund in shop.stripe.all("refund")] == [1000, 1000, 2000]
    assert await left(shop, payment) == 0
    assert (await ask(shop, payment, 1))[0] == 409
    assert [row["status"] for row in await shop.rows("payment_refunds")] == ["succeeded"] * 3


async def test_ten_refunds_of_sixty_percent_at_once_are_one(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    answers = await asyncio.gather(*(ask(shop, payment, 2400) for _ in range(10)))
    assert sorted(status for status, _ in answers) == [202] + [409] * 9
    await shop.kit.work()
    assert shop.refunded() == 2400


async def test_a_repetition_with_the_same_key_is_one_refund(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    key = {"Idempotency_Key": "click-4711"}
    answers = await asyncio.gather(*(ask(shop, payment, 500, **key) for _ in range(5)))
    # Whoever lost the race for the key may be told of a conflict; asked again, everybody is told of the same refund.
    assert {body["id"] for status, body in answers if status == 202} == {
        (await ask(shop, payment, 500, **key))[1]["id"]
    }
    assert (await ask(shop, payment, 600, **key))[1]["code"] == "payments.key_reused"
    await shop.kit.work()
    assert shop.refunded() == 500


async def test_an_answer_that_is_lost_leaves_the_outcome_unknown_and_one_refund(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    await ask(shop, payment, 3000)
    with shop.stripe.outage("lose_response", "POST /v1/refunds", times=1):
        await shop.kit.work()
        assert await shop.one("SELECT status FROM payment_refunds") == "unknown"
        assert await left(shop, payment) == 1000
    await shop.kit.work(hurry=True)
    assert await shop.one("SELECT status FROM payment_refunds") == "succeeded"
    assert shop.refunded() == 3000


async def test_a_failure_that_stripe_repeats_under_its_key_is_never_a_second_call(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    await ask(shop, payment, 3000)
    with shop.stripe.outage("error500", "POST /v1/refunds", times=1):
        await shop.kit.work()
    for _ in range(3):
        await shop.kit.work(hurry=True)
    calls = [call for call in shop.stripe.calls if (call.method, call.path) == ("POST", "/v1/refunds")]
    assert len({call.idempotency_key for call in calls}) == 1
    assert await shop.one("SELECT status FROM payment_refunds") in ("unknown", "sending")
    assert await left(shop, payment) == 1000
    shop.stripe.advance(25 * 3600)  # Stripe has forgotten the key, and lists no refund
    await shop.kit.work(hurry=True)
    assert shop.refunded() == 3000


@pytest.mark.parametrize("hours", [0, 25])
async def test_a_worker_that_dies_between_call_and_commit_pays_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    _, payment = await shop.sold(4000)
    await ask(shop, payment, 3000)
    survived = send_refund.advance_refund

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(send_refund, "advance_refund", dies)
    with pytest.raises(asyncio.CancelledError):
        await shop.kit.work()
    assert shop.refunded() == 3000
    assert await shop.one("SELECT status FROM payment_refunds") == "sending"
    monkeypatch.setattr(send_refund, "advance_refund", survived)
    shop.stripe.advance(hours * 3600)
    await shop.kit.sql(
        "UPDATE holdtrue_outbox SET lease_until = now() - interval '1 s', due_at = now() WHERE state = 'running'"
    )
    await shop.kit.work()
    assert await shop.one("SELECT status FROM payment_refunds") == "succeeded"
    assert shop.refunded() == 3000


async def test_a_worker_that_dies_before_the_call_still_pays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    _, payment = await shop.sold(4000)
    await ask(shop, payment, 3000)
    made = send_refund._made

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(send_refund, "_made", dies)
    with pytest.raises(asyncio.CancelledError):
        await shop.kit.work()
    monkeypatch.setattr(send_refund, "_made", made)
    await shop.kit.sql(
        "UPDATE holdtrue_outbox SET lease_until = now() - interval '1 s', due_at = now() WHERE state = 'running'"
    )
    await shop.kit.work()
    assert shop.refunded() == 3000


async def test_a_refused_refund_fails_and_gives_its_sum_free(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    await ask(shop, payment, 3000)
    shop.stripe.bank.refund(shop.stripe.latest("charge")["id"], 2000)  # somebody was faster in the dashboard
    await shop.kit.work()
    assert await shop.one("SELECT status FROM payment_refunds") == "failed"
    await shop.happen(shop.stripe.events[-2:])
    assert await left(shop, payment) == 2000
    assert (await ask(shop, payment, 2001))[0] == 409


async def test_a_refund_that_the_bank_sends_back_gives_its_sum_free(shop: Shop) -> None:
    _, payment = await shop.sold(4000)
    shop.stripe.bank.script_refunds("pending")
    await ask(shop, payment, 3000)
    await shop.kit.work()
    assert await shop.one("SELECT status FROM payment_refunds") == "pending"
    assert await left(shop, payment) == 1000
    await shop.happen(shop.stripe.bank.settle_refund(shop.stripe.latest("refund")["id"], "failed"))
    assert await left(shop, payment) == 4000
    assert (await shop.audited())[-1] == "payments.refund_failed"


async def test_above_the_threshold_somebody_else_must_agree(shop: Shop) -> None:
    _, payment = await shop.sold(9000)
    status, refund = await ask(shop, payment, 6000, who="ann")
    assert (status, refund["status"]) == (202, "waiting")
    await shop.kit.work()
    assert shop.refunded() == 0
    path = f"/payments/refunds/{refund['id']}/decision"
    assert (await shop.call("POST", path, {"approve": True}, who="bob", may="payments.refund")).status_code == 403
    own = await shop.call("POST", path, {"approve": True}, who="ann")
    assert (own.status_code, own.json()["code"]) == (403, "payments.own_request")
    with pytest.raises(OwnRequest):
        async with shop.kit.unit(tenant=shop.tenant, principal=Principal(kind="key", id="anns-key")) as unit:
            await decide_refund(unit, UUID(str(refund["id"])), approve=True)
    await shop.kit.work()
    assert shop.refunded() == 0
    decisions = await asyncio.gather(*(shop.call("POST", path, {"approve": True}, who="bob") for _ in range(5)))
    assert sorted(answer.status_code for answer in decisions) == [200] + [409] * 4
    await shop.kit.work()
    assert shop.refunded() == 6000
    assert "payments.refund_approved" in await shop.audited()


async def test_small_pieces_do_not_get_around_the_threshold(shop: Shop) -> None:
    _, payment = await shop.sold(9000)
    statuses = [(await ask(shop, payment, 2000))[1]["status"] for _ in range(3)]
    assert statuses == ["queued", "queued", "waiting"]


async def test_a_declined_refund_gives_its_sum_free(shop: Shop) -> None:
    _, payment = await shop.sold(9000)
    _, refund = await ask(shop, payment, 9000)
    path = f"/payments/refunds/{refund['id']}/decision"
    assert (await shop.call("POST", path, {"approve": False}, who="ann")).json()["status"] == "declined"
    await shop.kit.work()
    assert (shop.refunded(), await left(shop, payment)) == (0, 9000)


async def test_the_app_may_refuse(shop: Shop) -> None:
    _, payment = await shop.sold()
    assert (await ask(shop, payment, 1000, reason="forbidden"))[0] == 403
    assert await shop.rows("payment_refunds") == []


async def test_nothing_is_refunded_while_the_bank_decides(shop: Shop) -> None:
    order, payment = await shop.sold()
    charge = shop.stripe.latest("charge")["id"]
    await ask(shop, payment, 500)
    await shop.happen(shop.stripe.bank.dispute(charge))
    assert await shop.one("SELECT status FROM payment_refunds") == "failed"
    assert (await ask(shop, payment, 500))[1]["code"] == "payments.disputed"
    dispute = shop.stripe.latest("dispute")["id"]
    await shop.happen(shop.stripe.bank.close_dispute(dispute, "won"))
    assert await left(shop, payment) == 4000
    assert (await shop.audited())[-2:] == ["payments.dispute_opened", "payments.dispute_closed"]
    assert order


async def test_a_lost_dispute_has_taken_its_money(shop: Shop) -> None:
    _, payment = await shop.sold()
    await shop.happen(shop.stripe.bank.dispute(shop.stripe.latest("charge")["id"], amount=3000))
    await shop.happen(shop.stripe.bank.close_dispute(shop.stripe.latest("dispute")["id"], "lost"))
    assert await left(shop, payment) == 1000


async def test_a_refund_of_another_tenant_is_not_there(shop: Shop) -> None:
    _, payment = await shop.sold(9000)
    _, refund = await ask(shop, payment, 9000)
    other = {"X_Tenant": "0190a0a0-0000-7000-8000-000000000001"}
    assert (await ask(shop, payment, 1, **other))[0] == 404
    path = f"/payments/refunds/{refund['id']}/decision"
    assert (await shop.call("POST", path, {"approve": True}, who="bob", **other)).status_code == 404
    assert (await shop.call("GET", f"/payments/{payment}", **other)).status_code == 404
