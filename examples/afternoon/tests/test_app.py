import hashlib
import hmac
import json
import time
from types import SimpleNamespace

from app import services

from .conftest import make_shop


def add_product(client, headers, price=1000):
    r = client.post("/products", json={"name": "Rose", "price_cents": price}, headers=headers)
    assert r.status_code == 201, r.text
    return r.json()["id"]


def add_order(client, headers):
    items = [{"product_id": add_product(client, headers), "quantity": 2}]
    r = client.post("/orders", json={"customer_email": "carl@example.com", "items": items}, headers=headers)
    assert r.status_code == 201, r.text
    return r.json()["id"]


def send_webhook(client, event, secret="whsec_test"):
    payload = json.dumps(event)
    t = int(time.time())
    signature = hmac.new(secret.encode(), f"{t}.{payload}".encode(), hashlib.sha256).hexdigest()
    return client.post("/webhooks/stripe", content=payload, headers={"Stripe-Signature": f"t={t},v1={signature}"})


def test_signup_login_refresh(client, owner, mails):
    assert mails[0][1] == "Welcome to Flowers"
    login = {"shop": "flowers", "email": "owner@flowers.example", "password": "password1"}
    tokens = client.post("/auth/login", json=login).json()
    assert client.post("/auth/login", json={**login, "password": "wrong"}).status_code == 401
    new = client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    headers = {"Authorization": f"Bearer {new['access_token']}"}
    assert client.get("/members", headers=headers).json()[0]["role"] == "owner"
    assert client.post("/auth/refresh", json={"refresh_token": tokens["access_token"]}).status_code == 401


def test_password_reset(client, owner, mails):
    client.post("/auth/forgot", json={"shop": "flowers", "email": "owner@flowers.example"})
    token = mails[-1][2].split("token=")[1].strip()
    assert client.post("/auth/reset", json={"token": token, "password": "password2"}).status_code == 200
    login = {"shop": "flowers", "email": "owner@flowers.example", "password": "password2"}
    assert client.post("/auth/login", json=login).status_code == 200


def test_invite_and_roles(client, owner, mails):
    client.post("/members/invitations", json={"email": "vic@example.com", "role": "viewer"}, headers=owner)
    token = mails[-1][2].split("token=")[1].strip()
    tokens = client.post("/members/accept", json={"token": token, "name": "Vic", "password": "password1"}).json()
    viewer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get("/products", headers=viewer).status_code == 200
    assert client.post("/products", json={"name": "X", "price_cents": 1}, headers=viewer).status_code == 403
    member = client.get("/members", headers=owner).json()[1]
    assert client.patch(f"/members/{member['id']}", json={"role": "clerk"}, headers=owner).json()["role"] == "clerk"
    assert client.delete(f"/members/{member['id']}", headers=owner).status_code == 204
    assert len(client.get("/members", headers=owner).json()) == 1


def test_shops_are_separate(client, owner):
    add_order(client, owner)
    other = make_shop(client, "books")
    assert client.get("/products", headers=other).json() == []
    assert client.get("/orders", headers=other).json() == []


def test_reprice(client, owner):
    product_id = add_product(client, owner, price=1000)
    assert client.post("/products/reprice", json={"percent": 10}, headers=owner).json() == {"updated": 1}
    assert client.get(f"/products/{product_id}", headers=owner).json()["price_cents"] == 1100


def test_checkout_webhook_refund(client, owner, mails, monkeypatch):
    monkeypatch.setattr(
        services, "create_checkout", lambda order: SimpleNamespace(id="cs_test_1", url="https://stripe.test/1")
    )
    monkeypatch.setattr(services, "create_refund", lambda order, amount: None)
    order_id = add_order(client, owner)
    r = client.post(f"/orders/{order_id}/checkout", headers=owner)
    assert r.json() == {"checkout_url": "https://stripe.test/1", "session_id": "cs_test_1"}

    event = {
        "id": "evt_1",
        "type": "checkout.session.completed",
        "data": {"object": {"id": "cs_test_1", "payment_intent": "pi_1"}},
    }
    assert send_webhook(client, event, secret="wrong").status_code == 400
    assert send_webhook(client, event).status_code == 200
    assert send_webhook(client, event).status_code == 200
    assert client.get(f"/orders/{order_id}", headers=owner).json()["status"] == "paid"
    assert [m[1] for m in mails].count("Your receipt from Flowers") == 1

    assert client.post(f"/orders/{order_id}/refund", json={"amount_cents": 500}, headers=owner).status_code == 200
    assert client.post(f"/orders/{order_id}/refund", json={"amount_cents": 1600}, headers=owner).status_code == 422
    actions = [a["action"] for a in client.get("/audit", headers=owner).json()]
    assert "order.paid" in actions and "order.refunded" in actions


def test_health(client):
    assert client.get("/health").json() == {"ok": True}
