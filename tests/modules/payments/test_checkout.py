"""Money in: one page, one payment, one grant."""

from __future__ import annotations

import asyncio

from modules.payments.conftest import Shop


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
