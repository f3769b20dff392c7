from uuid import uuid4

import psycopg
import pytest

from tests.conftest import RUNTIME
from tests.fakes import at_once, open_shop, send_mails


def test_what_belongs_to_another_shop_is_as_if_it_did_not_exist(client, shop, rival):
    product, order = rival.product(), rival.order()
    owner = rival.call("GET", "/members").json()["items"][0]["id"]
    body = {"name": "x", "description": "", "price_cents": 1, "currency": "eur"}
    attempts = [
        ("GET", "/products/{}", product, None),
        ("PUT", "/products/{}", product, body),
        ("DELETE", "/products/{}", product, None),
        ("GET", "/orders/{}", order, None),
        ("POST", "/orders/{}/cancel", order, None),
        ("POST", "/orders/{}/checkout", order, None),
        ("POST", "/orders/{}/refund", order, {"amount_cents": 1}),
        ("PATCH", "/members/{}", owner, {"role": "viewer"}),
        ("DELETE", "/members/{}", owner, None),
    ]
    for method, path, foreign, sent in attempts:
        theirs = shop.call(method, path.format(foreign), sent)
        nobodys = shop.call(method, path.format(uuid4()), sent)
        assert theirs.status_code == nobodys.status_code == 404, (method, path)
        assert theirs.content == nobodys.content
    ordered = {"customer_email": "c@c.example", "items": [{"product_id": product, "quantity": 1}]}
    assert shop.call("POST", "/orders", ordered).status_code == 404
    for path in ("/products", "/orders", "/audit"):
        theirs = rival.call("GET", path).json()["items"]
        assert theirs
        assert not {row["id"] for row in theirs} & {row["id"] for row in shop.call("GET", path).json()["items"]}
        assert shop.call("GET", f"{path}?before={theirs[0]['id']}").json()["items"] == []


def test_repricing_touches_only_the_own_shop(shop, rival):
    mine, theirs = shop.product(1999), rival.product(1999)
    assert shop.call("POST", "/products/reprice", {"percent": 10}).json() == {"updated": 1}
    assert shop.call("GET", f"/products/{mine}").json()["price_cents"] == 2199
    assert rival.call("GET", f"/products/{theirs}").json()["price_cents"] == 1999


def test_two_shops_may_have_the_same_member_address(client, shop, rival, settings, smtp):
    for place in (shop, rival):
        answer = place.call("POST", "/members/invitations", {"email": "same@x.example", "role": "viewer"})
        assert answer.status_code == 201
        send_mails(settings)
        accepted = {"token": smtp.token_for("same@x.example"), "name": "Same", "password": "a fine password"}
        assert client.post("/members/accept", json=accepted).status_code == 201


def test_a_body_cannot_choose_shop_or_role(shop, rival):
    body = {"name": "x", "description": "", "price_cents": 1, "currency": "eur", "shop_id": rival.id}
    assert shop.call("POST", "/products", body).status_code == 422
    assert (
        shop.call("POST", "/orders", {"customer_email": "a@b.example", "items": [], "total_cents": 1}).status_code
        == 422
    )


def test_without_a_scope_the_database_shows_and_takes_nothing(postgres, migrated, client, shop, rival):
    shop.order()
    rival.order()
    with psycopg.connect(postgres.url(RUNTIME, migrated), autocommit=True) as runtime:
        tables = runtime.execute(
            "SELECT c.table_name, bool_and(k.relrowsecurity AND k.relforcerowsecurity) "
            "FROM information_schema.columns c JOIN pg_class k ON k.relname = c.table_name "
            "WHERE c.column_name = 'shop_id' AND c.table_schema = 'public' GROUP BY 1"
        ).fetchall()
        assert len(tables) == 15
        for (table, protected), shop_id in [(t, s) for t in tables for s in (None, "", shop.id)]:
            assert protected, table
            if shop_id is not None:
                runtime.execute("SELECT set_config('app.shop_id', %s, false)", [shop_id])
            rows = runtime.execute(f"SELECT DISTINCT shop_id::text FROM {table}").fetchall()  # noqa: S608
            assert rows in ([], [(shop_id,)]) if shop_id else rows == [], table
            runtime.execute("RESET ALL")
        runtime.execute("SELECT set_config('app.shop_id', %s, false)", [shop.id])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            runtime.execute(
                "INSERT INTO products (shop_id, id, name, description, price_cents, currency) "
                "VALUES (%s, gen_random_uuid(), '', '', 1, 'eur')",
                [rival.id],
            )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            runtime.execute("UPDATE products SET shop_id = %s", [rival.id])


def test_interleaved_requests_of_two_shops_do_not_mix(client, shop, rival):
    mine, theirs = shop.product(name="mine"), rival.product(name="theirs")

    def look(place, product, name):
        return lambda: place.call("GET", f"/products/{product}").json()["name"] == name

    assert all(at_once([look(shop, mine, "mine"), look(rival, theirs, "theirs")] * 20))


def test_the_runtime_role_can_neither_own_nor_define(postgres, migrated, admin):
    with psycopg.connect(postgres.url(RUNTIME, migrated), autocommit=True) as runtime:
        for statement in ("CREATE TABLE t ()", "ALTER TABLE products DISABLE ROW LEVEL SECURITY", "TRUNCATE products"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                runtime.execute(statement)


def test_a_taken_slug_is_a_conflict_that_names_no_constraint(client, shop):
    body = {"name": "x", "slug": "alpha", "owner_email": "o@x.example", "owner_password": "12345678", "owner_name": "O"}
    answer = client.post("/shops", json=body)
    assert answer.status_code == 409
    assert "_key" not in answer.text


def test_hostile_text_is_refused_or_kept_as_it_is(client, shop):
    for email in ("a@b.example\r\nBcc: x@y.example", "a,b@c.example", '"a"@b.example', "a@b", "ä@b.example"):
        body = {"email": email, "role": "viewer"}
        expected = 201 if email == "a@b" else 422
        assert shop.call("POST", "/members/invitations", body).status_code == expected, email
    for name in ("nul\x00", "line\nend", "sep\u2028arated", "  "):
        body = {"name": name, "description": "", "price_cents": 1, "currency": "eur"}
        assert shop.call("POST", "/products", body).status_code == 422
    kept = shop.call("GET", f"/products/{shop.product(name='=cmd|😀 <b>')}").json()
    assert kept["name"] == "=cmd|😀 <b>"
    assert open_shop(client, "gamma").slug == "gamma"
