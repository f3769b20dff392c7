import pytest
import stripe
from plainshop.db import Database
from plainshop.worker.reconcile import reconcile

from tests.fakes import at_once

CREATED, UPDATED, DELETED = (f"customer.subscription.{what}" for what in ("created", "updated", "deleted"))


def status(shop):
    return shop.call("GET", "/billing").json()["status"]


def session_of(made, **more):
    told = {"id": "cs_test_1", "object": "checkout.session", "mode": "subscription", "subscription": made["id"]}
    return told | {"payment_status": "paid", "amount_total": 1900, "currency": "eur"} | more


def test_many_clicks_make_one_customer_and_one_session(shop, stripe_double, admin):
    assert status(shop) == "none"
    answers = at_once([lambda: shop.call("POST", "/billing/checkout")] * 10)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    assert len(stripe_double.pages) == len(stripe_double.customers) == 1
    assert {asked["plan"].monthly_cents for asked in stripe_double.asked} == {1900}
    assert admin.execute("SELECT count(*) FROM subscriptions").fetchone() == (1,)
    assert status(shop) == "open"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_its_events_lead_to_the_same_in_any_order_and_are_audited_once(client, shop, stripe_double, admin, order):
    made = shop.subscribed(stripe_double)
    events = [
        stripe_double.event(CREATED, made | {"status": "incomplete"}),
        stripe_double.event(UPDATED, made),
        stripe_double.event("checkout.session.completed", session_of(made)),
    ]
    for index in order:
        assert [stripe_double.send(client, events[index]).json()["outcome"] for _ in "ab"] == ["applied", "duplicate"]
    told = shop.call("GET", "/billing").json()
    assert told == {
        "plan": "standard",
        "status": "active",
        "period_ends_at": "2033-05-18T03:33:20Z",
        "ends_with_period": False,
    }
    assert shop.call("POST", "/billing/checkout").status_code == 409
    active = "SELECT count(*) FROM audit_events WHERE action = 'subscription.active'"
    assert admin.execute(active).fetchone() == (1,)


def test_an_ended_subscription_stays_ended_and_another_may_follow(client, shop, stripe_double, admin):
    made = shop.subscribed(stripe_double)
    stripe_double.subscriptions[made["id"]] = made | {"status": "canceled"}
    for kind in (DELETED, UPDATED, CREATED):
        assert stripe_double.send(client, stripe_double.event(kind, made)).json() == {"outcome": "applied"}
        assert status(shop) == "canceled"
    stripe_double.subscriptions[made["id"]] = made
    assert stripe_double.send(client, stripe_double.event(UPDATED, made)).is_success
    assert status(shop) == "canceled"
    again = shop.subscribed(stripe_double)
    assert again["customer"] == made["customer"]
    assert stripe_double.send(client, stripe_double.event(CREATED, again)).is_success
    assert status(shop) == "active"


def test_an_older_answer_changes_nothing(client, shop, stripe_double):
    made = shop.subscribed(stripe_double)
    newer = stripe_double.event(UPDATED, made)

    def news_meanwhile():
        stripe_double.before_answer = lambda: None
        stripe_double.subscriptions[made["id"]] = made | {"status": "past_due"}
        assert stripe_double.send(client, newer).is_success
        # What the first request gets is what was asked for before.
        stripe_double.subscriptions[made["id"]] = made

    stripe_double.before_answer = news_meanwhile
    assert stripe_double.send(client, stripe_double.event(CREATED, made)).is_success
    assert status(shop) == "past_due"


def test_the_shop_is_that_of_the_customer_whatever_the_metadata_say(client, shop, rival, stripe_double):
    made = shop.subscribed(stripe_double)
    theirs = rival.subscribed(stripe_double)
    stripe_double.subscriptions[made["id"]] = made | {"metadata": theirs["metadata"]}
    assert stripe_double.send(client, stripe_double.event(CREATED, made)).status_code == 409
    assert (status(shop), status(rival)) == ("open", "open")


def test_a_webhook_may_come_before_the_answer_it_follows_from(client, shop, stripe_double):
    answers = []

    def paid_already():
        if not stripe_double.asked:
            return
        stripe_double.before_answer = lambda: None
        asked = stripe_double.asked[0]
        made = {"id": "sub_1", "customer": asked["customer_id"], "status": "active", "cancel_at_period_end": False}
        made |= {"metadata": {"attempt": str(asked["subscription_id"])}, "items": {"data": []}}
        stripe_double.subscriptions["sub_1"] = made
        answers.append(stripe_double.send(client, stripe_double.event(CREATED, made)).status_code)

    stripe_double.before_answer = paid_already
    assert shop.call("POST", "/billing/checkout").status_code == 201
    assert answers == [200]
    assert status(shop) == "active"


def test_stripe_in_trouble_is_asked_again_and_what_it_does_not_know_is_refused(client, shop, stripe_double, admin):
    made = shop.subscribed(stripe_double)
    event = stripe_double.event(CREATED, made)
    stripe_double.trouble = [stripe.APIConnectionError("down")]
    assert stripe_double.send(client, event).status_code == 503
    del stripe_double.subscriptions[made["id"]]
    assert stripe_double.send(client, event).status_code == 409
    assert admin.execute("SELECT count(*) FROM stripe_events").fetchone() == (0,)


def test_an_abandoned_checkout_may_be_begun_anew_and_a_lost_answer_asked_for_again(client, shop, stripe_double, admin):
    stripe_double.trouble = [stripe.APIConnectionError("lost")]
    assert shop.call("POST", "/billing/checkout").status_code == 503
    first = shop.call("POST", "/billing/checkout").json()["session_id"]
    left = {"id": first, "mode": "subscription", "subscription": None}
    assert stripe_double.send(client, stripe_double.event("checkout.session.expired", left)).is_success
    assert status(shop) == "expired"
    assert shop.call("POST", "/billing/checkout").json()["session_id"] != first
    admin.execute("UPDATE subscriptions SET expires_at = now()")
    assert shop.call("POST", "/billing/checkout").status_code == 201
    assert len(stripe_double.pages) == 3
    assert len(stripe_double.customers) == 1


def test_reconcile_finds_subscription_events_that_never_arrived(client, shop, settings, stripe_double):
    made = shop.subscribed(stripe_double)
    stripe_double.event(CREATED, made)
    stripe_double.event(DELETED, made)
    stripe_double.subscriptions[made["id"]] = made | {"status": "canceled"}
    database = Database(settings, pool_size=2)
    assert reconcile(database, settings, stripe_double, days=3) == {"applied": 2}
    assert reconcile(database, settings, stripe_double, days=3) == {"duplicate": 2}
    database.close()
    assert status(shop) == "canceled"
