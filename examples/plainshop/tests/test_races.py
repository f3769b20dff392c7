"""Two things at once, each pair many times: no 5xx, and an end that one of the two orders explains."""

from tests.fakes import PASSWORD, at_once, send_mails, send_refunds


def test_paying_and_cancelling(client, shop, stripe_double, settings, admin):
    for _ in range(8):
        order = shop.order()
        event = stripe_double.event("checkout.session.completed", shop.session(order))
        paid, cancelled = at_once(
            [
                lambda event=event: stripe_double.send(client, event).status_code,
                lambda order=order: shop.call("POST", f"/orders/{order}/cancel").status_code,
            ]
        )
        assert (paid, cancelled) in {(200, 200), (200, 409)}
    # Money is kept for exactly the orders that are paid.
    kept = "SELECT count(*) FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.accepted <> (o.status = 'paid')"
    assert admin.execute(kept).fetchone() == (0,)
    sent_back = "SELECT count(*) FROM payments WHERE NOT accepted AND id NOT IN (SELECT payment_id FROM refunds)"
    assert admin.execute(sent_back).fetchone() == (0,)


def test_checking_out_and_cancelling(client, shop, stripe_double, admin):
    for _ in range(8):
        order = shop.order()
        codes = at_once(
            [
                lambda order=order: shop.call("POST", f"/orders/{order}/checkout").status_code,
                lambda order=order: shop.call("POST", f"/orders/{order}/cancel").status_code,
            ]
        )
        assert codes in ([201, 200], [409, 200])
        session = admin.execute("SELECT stripe_session_id FROM checkouts WHERE order_id = %s", [order]).fetchone()
        asked = {a["order_id"].hex: stripe_double.pages[a["checkout_id"]] for a in stripe_double.asked}
        page = asked.get(order.replace("-", ""))
        assert page is None or page.session_id in stripe_double.expired, session


def test_refunding_while_refunds_are_sent_and_reported(client, shop, stripe_double, settings):
    order, intent = shop.paid(stripe_double)
    elsewhere = {"id": "re_dashboard", "payment_intent": intent, "amount": 300, "status": "succeeded", "metadata": {}}
    refunds = [
        lambda: shop.call("POST", f"/orders/{order}/refund", {"amount_cents": 300}).status_code for _ in range(6)
    ]
    news = [
        lambda: stripe_double.send(client, stripe_double.event("refund.updated", elsewhere)).status_code
        for _ in range(3)
    ]
    codes = at_once([*refunds, *news, lambda: send_refunds(settings, stripe_double)])
    assert set(codes) <= {200, 202, 409, None}
    send_refunds(settings, stripe_double)
    assert sum(made["amount"] for made in stripe_double.refunds.values()) + 300 <= 1200
    assert codes.count(202) in {2, 3}


def test_signing_in_and_resetting_the_password(client, shop, settings, smtp):
    client.post("/auth/forgot", json={"shop": shop.slug, "email": shop.owner})
    send_mails(settings)
    login = {"shop": shop.slug, "email": shop.owner, "password": PASSWORD}
    reset = {"token": smtp.token_for(shop.owner), "password": "another good password"}
    answers = at_once(
        [
            *[lambda: client.post("/auth/login", json=login) for _ in range(8)],
            lambda: client.post("/auth/reset", json=reset),
        ]
    )
    assert {answer.status_code for answer in answers} <= {200, 401, 204}
    for answer in answers[:-1]:
        if answer.status_code == 200:
            token = answer.json()["access_token"]
            assert shop.call("GET", "/products", token=token).status_code == 401


def test_removing_an_owner_who_invites(client, shop, settings, smtp, admin):
    body = {"email": "second@alpha.example", "role": "owner"}
    shop.call("POST", "/members/invitations", body)
    send_mails(settings)
    joined = {"token": smtp.token_for("second@alpha.example"), "name": "S", "password": "a fine password"}
    token = client.post("/members/accept", json=joined).json()["access_token"]
    members = shop.call("GET", "/members").json()["items"]
    second = next(member["id"] for member in members if member["email"] == "second@alpha.example")
    invite = {"email": "third@alpha.example", "role": "owner"}
    codes = at_once(
        [
            lambda: shop.call("DELETE", f"/members/{second}").status_code,
            *[lambda: shop.call("POST", "/members/invitations", invite, token).status_code for _ in range(6)],
        ]
    )
    assert codes[0] == 204
    assert set(codes[1:]) <= {201, 401, 403}
    pending = "SELECT count(*) FROM invitations WHERE used_at IS NULL"
    assert admin.execute(pending).fetchone() == (0,)
