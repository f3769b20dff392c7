import pytest
from plainshop.permissions import ROLES

from tests.fakes import at_once, send_mails


@pytest.fixture
def join(client, shop, settings, smtp):
    def joined(email, role):
        assert shop.call("POST", "/members/invitations", {"email": email, "role": role}).status_code == 201
        send_mails(settings)
        body = {"token": smtp.token_for(email), "name": "Somebody", "password": "a fine password"}
        answer = client.post("/members/accept", json=body)
        assert answer.status_code == 201, answer.text
        members = shop.call("GET", "/members").json()["items"]
        return next(m["id"] for m in members if m["email"] == email), answer.json()["access_token"]

    return joined


ROUTES = {
    ("GET", "/members"): "members.manage",
    ("POST", "/members/invitations"): "members.manage",
    ("PATCH", "/members/{id}"): "members.manage",
    ("DELETE", "/members/{id}"): "members.manage",
    ("GET", "/products"): "products.read",
    ("POST", "/products"): "products.write",
    ("POST", "/products/reprice"): "products.write",
    ("GET", "/products/{id}"): "products.read",
    ("PUT", "/products/{id}"): "products.write",
    ("DELETE", "/products/{id}"): "products.write",
    ("GET", "/orders"): "orders.read",
    ("POST", "/orders"): "orders.write",
    ("GET", "/orders/{id}"): "orders.read",
    ("POST", "/orders/{id}/cancel"): "orders.write",
    ("POST", "/orders/{id}/checkout"): "orders.write",
    ("POST", "/orders/{id}/refund"): "orders.refund",
    ("GET", "/audit"): "audit.read",
    ("POST", "/billing/checkout"): "billing.manage",
    ("GET", "/billing"): "billing.manage",
}
PUBLIC = {"/shops", "/members/accept", "/webhooks/stripe", "/health/live", "/health/ready"}


def test_every_route_refuses_whoever_lacks_its_permission(client, shop, join):
    told = client.get("/openapi.json").json()["paths"]
    served = {
        (method.upper(), path.replace("product_id", "id").replace("order_id", "id").replace("member_id", "id"))
        for path, methods in told.items()
        for method in methods
        if path not in PUBLIC and not path.startswith("/auth/")
    }
    assert served == ROUTES.keys()
    nowhere = "00000000-0000-4000-8000-000000000000"
    for role in ("clerk", "viewer"):
        _, token = join(f"{role}@alpha.example", role)
        for (method, path), needed in ROUTES.items():
            url = path.format(id=nowhere)
            allowed = needed in ROLES[role]
            assert (shop.call(method, url, {}, token).status_code == 403) is not allowed, (role, method, path)
            assert client.request(method, url, json={}).status_code == 401
    denied = [e for e in shop.call("GET", "/audit?limit=200").json()["items"] if e["outcome"] == "denied"]
    assert denied


def test_a_removed_member_is_out_at_once(client, shop, join):
    member, token = join("gone@alpha.example", "clerk")
    assert shop.call("GET", "/products", token=token).status_code == 200
    assert shop.call("DELETE", f"/members/{member}").status_code == 204
    assert shop.call("GET", "/products", token=token).status_code == 401
    login = {"shop": shop.slug, "email": "gone@alpha.example", "password": "a fine password"}
    assert client.post("/auth/login", json=login).status_code == 401


def test_a_lesser_role_counts_at_once_and_a_greater_one_from_the_next_token(client, shop, join):
    member, token = join("m@alpha.example", "viewer")
    login = {"shop": shop.slug, "email": "m@alpha.example", "password": "a fine password"}
    assert shop.call("PATCH", f"/members/{member}", {"role": "owner"}).status_code == 200
    assert shop.call("GET", "/audit", token=token).status_code == 403
    token = client.post("/auth/login", json=login).json()["access_token"]
    assert shop.call("GET", "/audit", token=token).status_code == 200
    assert shop.call("PATCH", f"/members/{member}", {"role": "viewer"}).status_code == 200
    assert shop.call("GET", "/audit", token=token).status_code == 403


def test_an_invitation_works_once_even_at_once(client, shop, settings, smtp):
    shop.call("POST", "/members/invitations", {"email": "m@alpha.example", "role": "viewer"})
    send_mails(settings)
    body = {"token": smtp.token_for("m@alpha.example"), "name": "M", "password": "a fine password"}
    answers = at_once([lambda: client.post("/members/accept", json=body)] * 6)
    assert sorted(a.status_code for a in answers) == [201] + [400] * 5


def test_an_invitation_dies_with_time_its_successor_and_its_inviter(client, shop, join, settings, smtp, admin):
    def accept(token):
        body = {"token": token, "name": "M", "password": "a fine password"}
        return client.post("/members/accept", json=body).status_code

    second, token = join("second@alpha.example", "owner")
    body = {"email": "m@alpha.example", "role": "owner"}
    shop.call("POST", "/members/invitations", body, token)
    send_mails(settings)
    of_the_removed = smtp.token_for("m@alpha.example")
    shop.call("DELETE", f"/members/{second}")
    assert accept(of_the_removed) == 400
    shop.call("POST", "/members/invitations", body)
    send_mails(settings)
    replaced = smtp.token_for("m@alpha.example")
    shop.call("POST", "/members/invitations", {"email": "m@alpha.example", "role": "viewer"})
    send_mails(settings)
    newest = smtp.token_for("m@alpha.example")
    assert accept(replaced) == 400
    admin.execute("UPDATE invitations SET expires_at = now() WHERE used_at IS NULL")
    assert accept(newest) == 400


def test_a_stranger_gets_only_so_many_invitations_of_all_shops(client, shop, rival, settings, admin):
    client.app.state.settings = settings.model_copy(update={"mail_limit_per_hour": 3})

    def invite(by, email):
        return by.call("POST", "/members/invitations", {"email": email, "role": "viewer"})

    client.post("/auth/forgot", json={"shop": shop.slug, "email": "s@stranger.example"})
    assert [invite(by, "s@stranger.example").status_code for by in (shop, rival)] == [201, 201]
    for by in (shop, rival):
        refused = invite(by, "s@stranger.example")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "3600"
    count = "SELECT count(*) FROM {} WHERE {} = 's@stranger.example'"
    assert admin.execute(count.format("mail_outbox", "recipient")).fetchone() == (3,)
    assert admin.execute(count.format("invitations", "email")).fetchone() == (2,)
    assert invite(shop, "other@stranger.example").status_code == 201


def test_a_reset_link_is_no_invitation(client, shop, settings, smtp):
    client.post("/auth/forgot", json={"shop": shop.slug, "email": shop.owner})
    send_mails(settings)
    token = smtp.token_for(shop.owner)
    assert client.post("/members/accept", json={"token": token, "name": "M", "password": "12345678"}).status_code == 400


def test_two_owners_cannot_demote_each_other(shop, join):
    second, token = join("second@alpha.example", "owner")
    first = next(m["id"] for m in shop.call("GET", "/members").json()["items"] if m["id"] != second)
    answers = at_once(
        [
            lambda: shop.call("PATCH", f"/members/{second}", {"role": "viewer"}),
            lambda: shop.call("DELETE", f"/members/{first}", token=token),
        ]
    )
    assert sorted(a.status_code // 100 for a in answers) == [2, 4]


def test_the_last_owner_stays(shop):
    me = shop.call("GET", "/members").json()["items"][0]["id"]
    assert shop.call("PATCH", f"/members/{me}", {"role": "viewer"}).status_code == 409
    assert shop.call("DELETE", f"/members/{me}").status_code == 409
