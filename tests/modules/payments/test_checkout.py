"""Money in: one page, one payment, one grant."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from modules.payments.conftest import Shop
from sqlalchemy import text

from holdtrue.modules.payments import abandon_checkout
from holdtrue.modules.payments.adapters.sessions import session_params
from holdtrue.modules.payments.flows import settle
from holdtrue.modules.payments.models import Checkout
from holdtrue.modules.payments.terms import PaymentsPorts
from holdtrue.runtime import Fault


async def test_a_paid_order_is_fulfilled_once_and_the_history_tells(shop: Shop) -> None:
    order, payment = await shop.sold()
    assert await shop.status(order) == ("paid", 1)
    assert await shop.audited() == [
        "payments.checkout_started",
        "kiosk.order_paid",
        "payments.payment_received",
        "payments.checkout_ended",
    ]
    shown = (await shop.call("GET", f"/payments/{payment}")).json()
    assert (shown["amount"], shown["currency"], shown["left"], shown["accepted"]) == (4000, "eur", 4000, True)


async def test_the_price_is_the_bindings_and_never_the_requests(shop: Shop) -> None:
    order = await shop.order(4000)
    tampered = await shop.call("POST", "/payments/checkouts", {"reference": order, "amount": 1})
    assert tampered.status_code == 422
    await shop.session(order)
    assert shop.stripe.sessions[-1]["amount_total"] == 4000


async def test_ten_clicks_at_once_make_one_session(shop: Shop) -> None:
    order = await shop.order()
    clicks = [shop.call("POST", "/payments/checkouts", {"reference": order}) for _ in range(10)]
    answers = await asyncio.gather(*clicks)
    assert len(shop.stripe.sessions) == 1
    assert {a.json()["url"] for a in answers if a.status_code == 201} == {shop.stripe.sessions[0]["url"]}
    # Who asked while the same key was under way is told to ask again, and gets the same page.
    assert {a.status_code for a in answers} <= {201, 503}
    assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 201


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(shop: Shop) -> None:
    order = await shop.order()
    with shop.stripe.outage("lose_response", "POST /v1/checkout/sessions", times=1):
        assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 503
    assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 201
    assert len(shop.stripe.sessions) == 1


async def test_the_webhook_may_be_faster_than_the_answer(shop: Shop) -> None:
    """The answer that names the session is lost, and an event about it comes."""
    order = await shop.order()
    with shop.stripe.outage("lose_response", "POST /v1/checkout/sessions", times=1):
        assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 503
    await shop.happen(shop.stripe.customer.pay(shop.stripe.sessions[-1]["id"]))
    assert await shop.status(order) == ("paid", 1)


async def test_a_reference_of_ours_at_another_price_is_not_our_session(shop: Shop) -> None:
    """A customer can write client_reference_id into the address of a payment link of the same account."""
    order = await shop.order(9000)
    with shop.stripe.outage("refuse", "POST /v1/checkout/sessions"):
        await shop.call("POST", "/payments/checkouts", {"reference": order})
    checkout = (await shop.rows("payment_checkouts"))[0]
    cheap = Checkout(
        id=checkout["id"],
        purchase={"kind": "payment", "reference": order, "lines": [{"name": "Cheap", "unit_amount": 100}]},
        return_url="https://kiosk.example",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    made = await shop.kit.port(PaymentsPorts).stripe.create_session(uuid4(), session_params(cheap, None))
    await shop.happen(shop.stripe.customer.pay(made.id))
    assert await shop.status(order) == ("pending", 0)
    assert await shop.rows("payments") == []


async def test_a_refusal_starts_anew_under_another_key(shop: Shop) -> None:
    order = await shop.order(99_999_999)
    await shop.kit.sql("UPDATE orders SET price = 1")  # below what Stripe takes
    refused = await shop.call("POST", "/payments/checkouts", {"reference": order})
    assert (refused.status_code, refused.json()["code"]) == (502, "payments.provider_refused")
    await shop.kit.sql("UPDATE orders SET price = 4000")
    assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 201
    assert [row["status"] for row in await shop.rows("payment_checkouts")] == ["failed", "open"]


async def test_at_another_price_the_old_page_is_closed_first(shop: Shop) -> None:
    order = await shop.order(4000)
    old = await shop.session(order)
    await shop.kit.sql("UPDATE orders SET price = 5000")
    new = await shop.session(order)
    assert {s["id"]: s["status"] for s in shop.stripe.sessions} == {old: "expired", new: "open"}
    assert shop.stripe.sessions[-1]["amount_total"] == 5000


async def test_no_second_page_while_news_of_a_payment_is_late(shop: Shop) -> None:
    """The webhook of the first is a day late; the local page has expired by then."""
    order = await shop.order()
    shop.stripe.customer.pay(await shop.session(order))
    await shop.kit.sql("UPDATE payment_checkouts SET expires_at = now() - interval '1 hour'")
    again = await shop.call("POST", "/payments/checkouts", {"reference": order})
    assert (again.status_code, again.json()["code"]) == (409, "payments.being_paid")
    await shop.kit.work()
    assert await shop.status(order) == ("paid", 1)
    assert len(shop.stripe.sessions) == 1


async def test_money_that_nobody_wants_any_more_goes_back_by_itself(shop: Shop) -> None:
    order = await shop.order()
    session = await shop.session(order)
    await shop.kit.sql("UPDATE orders SET status = 'cancelled'")
    await shop.happen(shop.stripe.customer.pay(session))
    assert await shop.status(order) == ("cancelled", 0)
    assert shop.refunded() == 4000


async def test_an_abandoned_checkout_is_closed_at_stripe(shop: Shop) -> None:
    order = await shop.order()
    await shop.session(order)
    async with shop.kit.unit(tenant=shop.tenant) as unit:
        await abandon_checkout(unit, order)
    await shop.kit.work()
    assert shop.stripe.sessions[-1]["status"] == "expired"
    assert (await shop.rows("payment_checkouts"))[0]["status"] == "abandoned"


@pytest.mark.parametrize(("succeeds", "expected"), [(True, ("paid", 1)), (False, ("pending", 0))])
async def test_an_unpaid_session_grants_nothing_until_its_money_is_there(
    shop: Shop, succeeds: bool, expected: tuple[str, int]
) -> None:
    order = await shop.order()
    session = await shop.session(order)
    await shop.happen(shop.stripe.customer.pay_later(session))
    assert await shop.status(order) == ("pending", 0)
    assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 409
    await shop.happen(shop.stripe.customer.settle(session, succeeds=succeeds))
    assert await shop.status(order) == expected
    if not succeeds:
        assert (await shop.call("POST", "/payments/checkouts", {"reference": order})).status_code == 201


async def test_a_crash_before_the_commit_of_a_payment_leaves_nothing_and_is_made_good(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.order()
    events = shop.stripe.customer.pay(await shop.session(order))
    told = settle.tell_received

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(settle, "tell_received", dies)  # after the app's hook has run
    with pytest.raises(asyncio.CancelledError):
        await shop.happen(events)
    assert await shop.status(order) == ("pending", 0)
    monkeypatch.setattr(settle, "tell_received", told)
    await shop.kit.sql("UPDATE holdtrue_inbox SET lease_until = now() - interval '1 s', due_at = now()")
    await shop.kit.work()
    assert await shop.status(order) == ("paid", 1)


async def test_no_transaction_is_open_while_stripe_is_asked(shop: Shop) -> None:
    order = await shop.order()
    with shop.stripe.hold("POST /v1/checkout/sessions") as hold:
        click = asyncio.create_task(shop.call("POST", "/payments/checkouts", {"reference": order}))
        await hold.arrived.wait()
        busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%%'"
        assert await shop.one(busy.replace("%%", "%")) == 0
        hold.release()
        assert (await click).status_code == 201


async def test_every_call_refuses_to_be_made_inside_a_transaction(shop: Shop) -> None:
    stripe = shop.kit.port(PaymentsPorts).stripe
    calls = {
        name: method
        for name, method in vars(type(stripe)).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    assert len(calls) > 10
    async with shop.kit.unit(tenant=shop.tenant) as unit:
        await unit.session.execute(text("SELECT 1"))
        for name, method in calls.items():
            arguments = [None for each in inspect.signature(method).parameters.values()][1:]
            with pytest.raises(Fault, match="PROVIDER_CALL_IN_TRANSACTION"):
                await method(stripe, *arguments)
            assert name
    assert shop.stripe.calls == []
