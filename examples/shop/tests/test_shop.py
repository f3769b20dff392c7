"""What the shop adds to its modules: the catalogue, orders, and its bindings."""

from conftest import World


async def test_an_order_is_paid_fulfilled_and_receipted(world: World) -> None:
    await world.open_shop()
    order = await world.order()
    await world.pay(order)
    paid = await world.call("ann", "GET", f"/orders/{order}", status=200)
    assert (paid["status"], paid["total_cents"]) == ("paid", 3000)
    assert len([text for text in world.mailed("eve@customer.test") if "30.00 EUR" in text]) == 1
    actions = {each["action"] for each in (await world.call("ann", "GET", "/audit?limit=100", status=200))["items"]}
    assert {"shop.product_added", "shop.order_placed", "shop.order_paid", "payments.payment_received"} <= actions


async def test_money_for_a_cancelled_order_goes_back_by_itself(world: World) -> None:
    await world.open_shop()
    order = await world.order()
    await world.call("ann", "POST", "/payments/checkouts", {"reference": order}, 201)
    paid = list(world.stripe.customer.pay(world.stripe.sessions[-1]["id"]))
    await world.call("ann", "POST", f"/orders/{order}/cancel", status=200)
    await world.happen(paid)
    assert [each["amount"] for each in world.stripe.all("refund")] == [3000]
    assert (await world.call("ann", "GET", f"/orders/{order}", status=200))["status"] == "cancelled"


async def test_a_large_refund_waits_for_somebody_else(world: World) -> None:
    await world.open_shop()
    assert (await world.join("carl", "clerk")).status_code == 201
    order = await world.order(price=20_000, quantity=1)
    await world.pay(order)
    payment = (await world.call("carl", "GET", f"/orders/{order}", status=200))["payment_id"]
    refund = await world.call("carl", "POST", f"/payments/{payment}/refunds", {}, 202)
    await world.kit.work()
    assert world.stripe.all("refund") == []
    decision = f"/payments/refunds/{refund['id']}/decision"
    assert (await world.call("carl", "POST", decision, {"approve": True})).status_code == 403
    await world.call("ann", "POST", decision, {"approve": True}, 200)
    await world.kit.work()
    assert [each["amount"] for each in world.stripe.all("refund")] == [20_000]


async def test_one_shop_sees_nothing_of_another(world: World) -> None:
    await world.open_shop("ann", "anns")
    await world.open_shop("bob", "bobs")
    order = await world.order("ann")
    for method, path in (("GET", f"/orders/{order}"), ("POST", f"/orders/{order}/cancel")):
        assert (await world.call("bob", method, path)).status_code == 404
    assert (await world.call("bob", "GET", "/orders", status=200)) == {"items": []}


async def test_a_viewer_sees_and_changes_nothing(world: World) -> None:
    await world.open_shop()
    await world.order()
    await world.join("vera", "viewer")
    products = (await world.call("vera", "GET", "/products", status=200))["items"]
    assert (await world.call("vera", "DELETE", f"/products/{products[0]['id']}")).status_code == 403
    assert (await world.call("ann", "DELETE", f"/products/{products[0]['id']}")).status_code == 204


async def test_who_opens_a_shop_is_welcomed_and_an_order_too_small_to_pay_is_refused(world: World) -> None:
    await world.open_shop()
    assert any("Your shop anns is open." in text for text in world.mailed("ann@shop.test"))
    product = await world.call("ann", "POST", "/products", {"name": "Pin", "price_cents": 1, "currency": "eur"}, 201)
    body = {"customer_email": "eve@customer.test", "items": [{"product_id": product["id"], "quantity": 1}]}
    assert (await world.call("ann", "POST", "/orders", body)).status_code == 422
    assert (await world.call("ann", "GET", "/orders", status=200)) == {"items": []}
