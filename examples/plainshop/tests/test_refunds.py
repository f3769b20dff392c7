import itertools

import pytest
import stripe
from plainshop.db import Database
from plainshop.worker.operators import list_dead, requeue_dead
from plainshop.worker.refunds import send_next_refund
from sqlalchemy.exc import DBAPIError

from tests.conftest import RUNTIME
from tests.fakes import at_once, send_refunds


def seen(shop, order):
    told = shop.call("GET", f"/orders/{order}").json()
    return told["refunded_cents"], told["refund_pending_cents"]


def refund(shop, order, cents):
    return shop.call("POST", f"/orders/{order}/refund", {"amount_cents": cents})


def dispute(client, stripe_double, intent, kind, status):
    told = {"id": f"dp_{intent}", "payment_intent": intent, "amount": 1000, "status": status}
    answer = stripe_double.send(client, stripe_double.event(f"charge.dispute.{kind}", told))
    assert answer.status_code == 200


def die_of_a_lost_answer(stripe_double, settings):
    stripe_double.trouble = [stripe.APIConnectionError("lost")]
    send_refunds(settings.model_copy(update={"worker_max_attempts": 1}), stripe_double)


def requeue(settings):
    database = Database(settings, pool_size=2)
    try:
        return requeue_dead(database)
    finally:
        database.close()


def requeued(shop):
    return [event for event in shop.call("GET", "/audit").json()["items"] if event["action"] == "refund.requeued"]


def news(stripe_double, made, status, kind="refund.updated"):
    return stripe_double.event(kind, made | {"status": status})


def test_ten_refunds_at_once_never_exceed_what_was_paid(client, shop, stripe_double, settings):
    order, _ = shop.paid(stripe_double)
    answers = at_once([lambda: refund(shop, order, 600)] * 10)
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
    send_refunds(settings, stripe_double)
    assert [made["amount"] for made in stripe_double.refunds.values()] == [600]
    assert seen(shop, order) == (600, 0)


def test_two_equal_partial_refunds_are_two(shop, stripe_double, settings):
    order, _ = shop.paid(stripe_double)
    assert refund(shop, order, 300).status_code == refund(shop, order, 300).status_code == 202
    send_refunds(settings, stripe_double)
    assert seen(shop, order) == (600, 0)
    assert refund(shop, order, 401).status_code == 409
    assert shop.call("GET", f"/orders/{order}").json()["status"] == "paid"


def test_a_refund_without_a_payment_is_refused(shop):
    assert refund(shop, shop.order(), 1).status_code == 409


def test_a_lost_answer_refunds_once(shop, stripe_double, settings, admin):
    order, _ = shop.paid(stripe_double)
    refund(shop, order, 400)
    stripe_double.trouble = [stripe.APIConnectionError("lost"), stripe.APIError("500", http_status=500)]
    for _ in range(3):
        send_refunds(settings, stripe_double)
        admin.execute("UPDATE refunds SET due_at = now() WHERE status = 'queued'")
    assert len(stripe_double.refunds) == 1
    assert seen(shop, order) == (400, 0)


def test_a_worker_that_died_leaves_a_lease_that_ends(shop, stripe_double, settings, admin):
    order, _ = shop.paid(stripe_double)
    refund(shop, order, 400)

    def die():
        raise SystemExit

    stripe_double.before_answer = die
    database = Database(settings, pool_size=2)
    try:
        send_next_refund(database, settings, stripe_double)
    except SystemExit:
        stripe_double.before_answer = lambda: None
    assert send_next_refund(database, settings, stripe_double) is False
    admin.execute("UPDATE refunds SET due_at = now()")
    assert send_next_refund(database, settings, stripe_double) is True
    database.close()
    assert len(stripe_double.refunds) == 1
    assert seen(shop, order) == (400, 0)


def test_after_the_key_is_forgotten_we_look_before_we_send(shop, stripe_double, settings, admin, monkeypatch):
    order, _ = shop.paid(stripe_double)
    refund(shop, order, 400)
    stripe_double.trouble = [stripe.APIConnectionError("lost")]
    send_refunds(settings, stripe_double)
    admin.execute("UPDATE refunds SET due_at = now(), first_sent_at = now() - interval '2 days'")
    monkeypatch.setattr(stripe_double, "refund", None)
    send_refunds(settings, stripe_double)
    assert seen(shop, order) == (400, 0)


def test_a_refund_that_fails_later_can_be_made_again(client, shop, stripe_double, settings):
    order, intent = shop.paid(stripe_double)
    refund(shop, order, 1000)
    send_refunds(settings, stripe_double)
    (made,) = stripe_double.refunds.values()
    charge = stripe_double.event("charge.refunded", {"id": "ch_1", "payment_intent": intent, "amount_refunded": 1000})
    assert stripe_double.send(client, charge).status_code == 200
    assert seen(shop, order) == (1000, 0)
    assert stripe_double.send(client, news(stripe_double, made, "failed", "refund.failed")).status_code == 200
    assert seen(shop, order) == (0, 0)
    assert refund(shop, order, 1000).status_code == 202


def test_news_of_refunds_ends_alike_in_every_order(client, shop, stripe_double, settings):
    ends = set()
    for order_of_events in itertools.permutations(range(4)):
        order, intent = shop.paid(stripe_double)
        dashboard = {"id": f"re_{order}", "payment_intent": intent, "amount": 250}
        events = [
            stripe_double.event("charge.refunded", {"id": "ch", "payment_intent": intent, "amount_refunded": 250}),
            news(stripe_double, dashboard, "pending", "refund.created"),
            news(stripe_double, dashboard, "succeeded"),
            stripe_double.event("charge.refunded", {"id": "ch", "payment_intent": intent, "amount_refunded": 400}),
        ]
        for index in order_of_events:
            assert stripe_double.send(client, events[index]).status_code == 200
        ends.add(seen(shop, order))
        assert refund(shop, order, 601).status_code == 409
    assert ends == {(400, 0)}


def test_the_webhook_of_a_refund_may_come_before_its_answer(client, shop, stripe_double, settings, admin):
    order, _ = shop.paid(stripe_double)
    refund(shop, order, 400)

    def told_already():
        (made,) = stripe_double.refunds.values()
        assert stripe_double.send(client, news(stripe_double, made, "succeeded")).status_code == 200

    stripe_double.before_answer = told_already
    send_refunds(settings, stripe_double)
    assert admin.execute("SELECT status FROM refunds").fetchall() == [("succeeded",)]


def test_news_about_a_payment_we_do_not_know_is_refused(client, shop, stripe_double):
    event = stripe_double.event("charge.refunded", {"id": "ch", "payment_intent": "pi_x", "amount_refunded": 1})
    assert stripe_double.send(client, event).status_code == 409


def test_no_refund_while_the_payment_is_disputed(client, shop, stripe_double, settings, admin):
    order, intent = shop.paid(stripe_double)
    assert refund(shop, order, 100).status_code == 202
    dispute(client, stripe_double, intent, "created", "needs_response")
    assert refund(shop, order, 100).status_code == 409
    send_refunds(settings, stripe_double)
    assert not stripe_double.refunds
    dispute(client, stripe_double, intent, "closed", "won")
    dispute(client, stripe_double, intent, "updated", "under_review")
    assert shop.call("GET", f"/orders/{order}").json()["disputed"] is False
    assert refund(shop, order, 1000).status_code == 202


def test_a_prevented_dispute_is_over_and_no_late_news_opens_it_again(client, shop, stripe_double):
    order, intent = shop.paid(stripe_double)
    dispute(client, stripe_double, intent, "created", "needs_response")
    assert shop.call("GET", f"/orders/{order}").json()["disputed"] is True
    dispute(client, stripe_double, intent, "closed", "prevented")
    dispute(client, stripe_double, intent, "updated", "under_review")
    assert shop.call("GET", f"/orders/{order}").json()["disputed"] is False
    assert refund(shop, order, 1000).status_code == 202


def test_a_requeued_refund_that_stripe_made_is_found_despite_a_dispute(client, shop, stripe_double, settings, admin):
    order, intent = shop.paid(stripe_double)
    refund(shop, order, 400)
    die_of_a_lost_answer(stripe_double, settings)
    assert admin.execute("SELECT status FROM refunds").fetchall() == [("dead",)]
    dispute(client, stripe_double, intent, "created", "needs_response")
    assert requeue(settings) == 1
    send_refunds(settings, stripe_double)
    assert len(stripe_double.refunds) == 1
    assert seen(shop, order) == (400, 0)
    dispute(client, stripe_double, intent, "closed", "won")
    assert refund(shop, order, 1000).status_code == 409
    assert refund(shop, order, 600).status_code == 202


def test_a_requeue_is_recorded_in_the_shop_of_each_refund(shop, rival, stripe_double, settings, admin):
    for one in (shop, rival):
        order, _ = one.paid(stripe_double)
        refund(one, order, 400)
        die_of_a_lost_answer(stripe_double, settings)
    assert requeue(settings) == 2
    for one in (shop, rival):
        (event,) = requeued(one)
        mine = admin.execute("SELECT id::text, order_id::text FROM refunds WHERE shop_id = %s", [one.id]).fetchone()
        assert (event["target_id"], event["details"]["order_id"]) == mine
        assert (event["actor_type"], event["actor_id"]) == ("worker", None)
    assert requeue(settings) == 0
    assert len(requeued(shop)) == 1


def test_a_requeue_that_cannot_be_recorded_does_not_happen(shop, stripe_double, settings, admin):
    order, _ = shop.paid(stripe_double)
    refund(shop, order, 400)
    die_of_a_lost_answer(stripe_double, settings)
    columns = "shop_id, id, actor_type, actor_id, action, outcome, target_type, target_id, request_id, details"
    admin.execute(f"REVOKE INSERT ON audit_events FROM {RUNTIME}")
    try:
        with pytest.raises(DBAPIError):
            requeue(settings)
    finally:
        admin.execute(f"GRANT INSERT ({columns}) ON audit_events TO {RUNTIME}")
    assert admin.execute("SELECT status FROM refunds").fetchall() == [("dead",)]


def test_a_lost_dispute_is_money_gone(client, shop, stripe_double):
    order, intent = shop.paid(stripe_double)
    told = {"id": "dp_1", "payment_intent": intent, "amount": 1000, "status": "lost"}
    stripe_double.send(client, stripe_double.event("charge.dispute.closed", told))
    assert refund(shop, order, 1).status_code == 409


def test_a_definite_no_fails_the_refund_and_a_dead_one_can_be_revived(shop, stripe_double, settings, admin):
    order, _ = shop.paid(stripe_double)
    refund(shop, order, 400)
    stripe_double.trouble = [stripe.APIConnectionError("down")]
    send_refunds(settings.model_copy(update={"worker_max_attempts": 1}), stripe_double)
    assert seen(shop, order) == (0, 400)
    database = Database(settings, pool_size=2)
    assert len(list_dead(database)) == requeue_dead(database) == 1
    stripe_double.trouble = [stripe.InvalidRequestError("no", "amount", code="charge_already_refunded")]
    send_refunds(settings, stripe_double)
    database.close()
    assert seen(shop, order) == (0, 0)
    assert admin.execute("SELECT status, last_error FROM refunds").fetchone() == ("failed", "charge_already_refunded")
