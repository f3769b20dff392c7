import json
import time
from uuid import uuid4

import psycopg
import pytest
import stripe
from plainshop.db import Database
from plainshop.worker.reconcile import reconcile

from tests.fakes import at_once, send_mails

COMPLETED = "checkout.session.completed"


def status(shop, order):
    return shop.call("GET", f"/orders/{order}").json()["status"]


def sign(body, secret, at=None):
    return stripe.WebhookSignature.generate_signature_header(body, secret, at)


def test_the_price_is_that_of_the_catalogue(shop, stripe_double):
    mug, plate = shop.product(1999), shop.product(700)
    items = [{"product_id": mug, "quantity": 2}, {"product_id": plate, "quantity": 1}]
    placed = shop.call("POST", "/orders", {"customer_email": "c@customer.example", "items": items}).json()
    assert placed["total_cents"] == 4698
    shop.call("POST", "/products/reprice", {"percent": 50})
    assert shop.call("POST", f"/orders/{placed['id']}/checkout").status_code == 201
    assert sum(line.unit_cents * line.quantity for line in stripe_double.asked[0]["lines"]) == 4698
    assert shop.call("DELETE", f"/products/{mug}").status_code == 204
    assert shop.call("GET", f"/orders/{placed['id']}").json()["items"][0]["product_id"] is None


def test_an_order_has_one_currency(shop):
    items = [{"product_id": shop.product(currency=c), "quantity": 1} for c in ("eur", "usd")]
    assert shop.call("POST", "/orders", {"customer_email": "c@customer.example", "items": items}).status_code == 422


def test_a_payment_counts_once_and_is_receipted_once(client, shop, stripe_double, settings, smtp, admin):
    order = shop.order()
    event = stripe_double.event(COMPLETED, shop.session(order))
    answers = at_once([lambda: stripe_double.send(client, event)] * 20)
    assert {answer.status_code for answer in answers} == {200}
    again = stripe_double.event("checkout.session.async_payment_succeeded", event["data"]["object"])
    assert stripe_double.send(client, again).status_code == 200
    send_mails(settings)
    assert status(shop, order) == "paid"
    assert len(smtp.to("c@customer.example")) == 1
    assert admin.execute("SELECT count(*), sum(amount_cents)::int FROM payments").fetchone() == (1, 1000)


def test_unsigned_forged_stale_and_future_events_change_nothing(client, shop, stripe_double, admin):
    order = shop.order()
    event = stripe_double.event(COMPLETED, shop.session(order))
    body, secret = json.dumps(event), stripe_double.secrets[0]
    headers = ["", "t=1", "x", "ü", sign(body, "whsec_wrong_secret"), sign(body + " ", secret)]
    headers += [sign(body, secret, int(time.time()) - 301), sign(body, secret, int(time.time()) + 400)]
    for header in headers:
        answer = client.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": header.encode()})
        assert answer.status_code == 400, header
    assert client.post("/webhooks/stripe", content=b"\xff", headers={"Stripe-Signature": "t=1,v1=a"}).status_code == 400
    assert status(shop, order) == "pending"
    assert admin.execute("SELECT count(*) FROM stripe_events").fetchone() == (0,)


def test_both_secrets_count_while_one_is_replaced(client, shop, stripe_double):
    for secret in stripe_double.secrets:
        order = shop.order()
        event = stripe_double.event(COMPLETED, shop.session(order))
        assert stripe_double.send(client, event, secret=secret).status_code == 200
        assert status(shop, order) == "paid"


def test_an_unpaid_session_waits_for_its_money_in_any_order(client, shop, stripe_double):
    for outcome, expected in (("succeeded", "paid"), ("failed", "pending")):
        for reverse in (False, True):
            order = shop.order()
            session = shop.session(order)
            paid = session | {"payment_status": "paid" if outcome == "succeeded" else "unpaid"}
            events = [
                stripe_double.event(COMPLETED, session | {"payment_status": "unpaid"}),
                stripe_double.event(f"checkout.session.async_payment_{outcome}", paid),
            ]
            for event in reversed(events) if reverse else events:
                assert stripe_double.send(client, event).status_code == 200
            assert status(shop, order) == expected
            again = shop.call("POST", f"/orders/{order}/checkout").status_code
            assert again == (409 if expected == "paid" else 201)


def test_no_second_checkout_while_a_payment_is_processed(client, shop, stripe_double):
    order = shop.order()
    session = shop.session(order) | {"payment_status": "unpaid"}
    stripe_double.send(client, stripe_double.event(COMPLETED, session))
    assert shop.call("POST", f"/orders/{order}/checkout").status_code == 409


def test_many_clicks_make_one_session(shop, stripe_double, admin):
    order = shop.order()
    answers = at_once([lambda: shop.call("POST", f"/orders/{order}/checkout")] * 10)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    assert len(stripe_double.pages) == 1


def test_a_lost_answer_is_asked_for_again_and_a_refusal_starts_anew(shop, stripe_double):
    order = shop.order()
    stripe_double.trouble = [stripe.APIConnectionError("lost"), stripe.APIError("500", http_status=500)]
    assert shop.call("POST", f"/orders/{order}/checkout").status_code == 503
    assert shop.call("POST", f"/orders/{order}/checkout").status_code == 502
    assert shop.call("POST", f"/orders/{order}/checkout").status_code == 201
    first, second, third = (asked["checkout_id"] for asked in stripe_double.asked)
    assert first == second != third
    assert stripe_double.asked[0] == stripe_double.asked[1]


def test_no_transaction_is_open_while_stripe_is_asked(shop, stripe_double, admin):
    seen = []
    query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    stripe_double.before_answer = lambda: seen.append(admin.execute(query).fetchone())
    assert shop.call("POST", f"/orders/{shop.order()}/checkout").status_code == 201
    assert seen == [(0,)]


def test_an_unknown_session_is_refused_until_it_is_known(client, shop, stripe_double, admin):
    order = shop.order()
    session = shop.session(order)
    admin.execute("UPDATE checkouts SET stripe_session_id = NULL")
    event = stripe_double.event(COMPLETED, session)
    assert stripe_double.send(client, event).status_code == 409
    admin.execute("UPDATE checkouts SET stripe_session_id = %s", [session["id"]])
    assert stripe_double.send(client, event).status_code == 200
    assert status(shop, order) == "paid"


def test_a_webhook_may_come_before_the_answer_it_follows_from(client, shop, stripe_double):
    order = shop.order()
    answers = []

    def pay_already():
        (asked,) = stripe_double.asked
        page = stripe_double.pages[asked["checkout_id"]]
        session = {"id": page.session_id, "payment_status": "paid", "payment_intent": "pi_early"}
        session |= {"amount_total": 1000, "currency": "eur", "client_reference_id": str(asked["checkout_id"])}
        answers.append(stripe_double.send(client, stripe_double.event(COMPLETED, session)).status_code)

    stripe_double.before_answer = pay_already
    assert shop.call("POST", f"/orders/{order}/checkout").status_code == 201
    assert answers == [200]
    assert status(shop, order) == "paid"


def test_metadata_and_foreign_accounts_and_modes_decide_nothing(client, shop, rival, stripe_double):
    mine, theirs = shop.order(), rival.order()
    session = shop.session(mine) | {"metadata": {"shop_id": rival.id, "order_id": theirs}}
    for more in ({"livemode": True}, {"account": "acct_other"}):
        assert stripe_double.send(client, stripe_double.event(COMPLETED, session, **more)).json() == {
            "outcome": "ignored"
        }
    assert status(shop, mine) == "pending"
    assert stripe_double.send(client, stripe_double.event(COMPLETED, session)).status_code == 200
    assert (status(shop, mine), status(rival, theirs)) == ("paid", "pending")


def test_money_for_a_cancelled_order_goes_back(client, shop, stripe_double, admin):
    order = shop.order()
    session = shop.session(order)
    assert shop.call("POST", f"/orders/{order}/cancel").json()["status"] == "cancelled"
    assert stripe_double.expired == [session["id"]]
    assert shop.call("POST", f"/orders/{order}/checkout").status_code == 409
    assert stripe_double.send(client, stripe_double.event(COMPLETED, session)).status_code == 200
    assert status(shop, order) == "cancelled"
    assert admin.execute("SELECT amount_cents, status FROM refunds").fetchall() == [(1000, "queued")]


@pytest.mark.parametrize("change", [{"amount_total": 1}, {"currency": "usd"}])
def test_another_amount_pays_nothing(client, shop, stripe_double, admin, change):
    order = shop.order()
    assert stripe_double.send(client, stripe_double.event(COMPLETED, shop.session(order) | change)).status_code == 200
    assert status(shop, order) == "pending"
    assert admin.execute("SELECT count(*) FROM refunds").fetchone() == (1,)


def test_a_failure_on_the_way_leaves_nothing_and_the_retry_lands(client, shop, stripe_double, admin):
    order = shop.order()
    event = stripe_double.event(COMPLETED, shop.session(order))
    admin.execute("REVOKE INSERT ON mail_outbox FROM plainshop_app")
    try:
        assert stripe_double.send(client, event).status_code == 500
    finally:
        admin.execute("GRANT INSERT ON mail_outbox TO plainshop_app")
    assert admin.execute("SELECT (SELECT count(*) FROM stripe_events), (SELECT count(*) FROM payments)").fetchone() == (
        0,
        0,
    )
    assert stripe_double.send(client, event).status_code == 200
    assert status(shop, order) == "paid"


def test_other_events_are_noted_and_ignored(client, shop, stripe_double):
    event = stripe_double.event("customer.created", {"id": "cus_1"})
    assert [stripe_double.send(client, event).json()["outcome"] for _ in "ab"] == ["ignored", "duplicate"]
    odd = stripe_double.event(COMPLETED, {"id": "cs_1"})
    assert stripe_double.send(client, odd).status_code == 400


def test_reconcile_applies_what_was_lost_and_twice_changes_nothing(client, shop, settings, stripe_double, admin):
    orders = [shop.order() for _ in range(3)]
    events = [stripe_double.event(COMPLETED, shop.session(order)) for order in orders]
    stripe_double.event(COMPLETED, shop.session(shop.order()) | {"id": f"cs_{uuid4().hex}"})
    stripe_double.send(client, events[0])
    database = Database(settings, pool_size=2)
    assert reconcile(database, settings, stripe_double, days=3) == {"duplicate": 1, "applied": 2, "failed": 1}
    assert reconcile(database, settings, stripe_double, days=3) == {"duplicate": 3, "failed": 1}
    database.close()
    assert [status(shop, order) for order in orders] == ["paid"] * 3


def test_a_cut_connection_is_no_success(client, shop, stripe_double, admin):
    order = shop.order()
    event = stripe_double.event(COMPLETED, shop.session(order))
    admin.execute(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
    )
    admin.execute(
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON stripe_events DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION cut()"
    )
    try:
        assert stripe_double.send(client, event).status_code == 503
    finally:
        with psycopg.connect(admin.info.dsn, autocommit=True) as mending:
            mending.execute("DROP TRIGGER cut ON stripe_events")
            mending.execute("DROP FUNCTION cut()")
    assert stripe_double.send(client, event).json() == {"outcome": "applied"}
