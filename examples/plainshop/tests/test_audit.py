import psycopg
import pytest

from tests.conftest import RUNTIME


def test_each_change_is_recorded_with_who_what_and_request(client, shop):
    product = shop.product()
    body = {"name": "Cup", "description": "", "price_cents": 5, "currency": "eur"}
    changed = shop.call("PUT", f"/products/{product}", body)
    shop.call("POST", "/products/reprice", {"percent": -10})
    shop.call("POST", f"/orders/{shop.order()}/cancel")
    shop.call("DELETE", f"/products/{product}")
    events = shop.call("GET", "/audit").json()["items"]
    assert [event["action"] for event in events][::-1] == [
        "shop.opened",
        "product.created",
        "product.replaced",
        "products.repriced",
        "product.created",
        "order.placed",
        "order.cancelled",
        "product.removed",
    ]
    replaced = next(event for event in events if event["action"] == "product.replaced")
    assert replaced["request_id"] == changed.headers["X-Request-ID"]
    me = shop.call("GET", "/members").json()["items"][0]["id"]
    assert (replaced["actor_type"], replaced["actor_id"], replaced["target_id"]) == ("member", me, product)


def test_without_the_event_there_is_no_change(client, shop, admin):
    admin.execute("REVOKE INSERT ON audit_events FROM plainshop_app")
    columns = "shop_id, id, actor_type, actor_id, action, outcome, target_type, target_id, request_id, details"
    try:
        body = {"name": "Cup", "description": "", "price_cents": 5, "currency": "eur"}
        assert shop.call("POST", "/products", body).status_code == 500
    finally:
        admin.execute(f"GRANT INSERT ({columns}) ON audit_events TO plainshop_app")
    assert shop.call("GET", "/products").json()["items"] == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET action = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "INSERT INTO audit_events (shop_id, id, at, actor_type, action, outcome, target_type, target_id, request_id, "
        "details) VALUES (gen_random_uuid(), gen_random_uuid(), '2001-01-01', 'worker', 'x', 'done', '', '', '', '{}')",
    ],
)
def test_the_runtime_role_can_only_append_and_not_set_the_time(postgres, migrated, shop, statement):
    with psycopg.connect(postgres.url(RUNTIME, migrated), autocommit=True) as runtime:
        runtime.execute("SELECT set_config('app.shop_id', %s, false)", [shop.id])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            runtime.execute(statement)


def test_pages_neither_repeat_nor_skip_while_events_are_added(shop):
    for price in range(1, 8):
        shop.product(price)
    known = {event["id"] for event in shop.call("GET", "/audit").json()["items"]}
    seen, before = [], ""
    while page := shop.call("GET", f"/audit?limit=3{before}").json()["items"]:
        seen += [event["id"] for event in page]
        before = f"&before={seen[-1]}"
        shop.product()
    assert len(seen) == len(set(seen))
    assert set(seen) == known
