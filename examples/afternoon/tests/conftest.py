import os

os.environ["DATABASE_URL"] = "sqlite:///./test.db"
os.environ["SECRET_KEY"] = "test-secret-test-secret-test-secret"
os.environ["STRIPE_WEBHOOK_SECRET"] = "whsec_test"

import pytest  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from app import services  # noqa: E402
from app.main import app  # noqa: E402
from app.models import Base, engine  # noqa: E402


@pytest.fixture(autouse=True)
def database():
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    yield
    engine.dispose()


@pytest.fixture
def mails(monkeypatch):
    sent = []
    monkeypatch.setattr(services, "send_mail", lambda to, subject, body: sent.append((to, subject, body)))
    return sent


@pytest.fixture
def client(mails):
    with TestClient(app) as client:
        yield client


@pytest.fixture
def owner(client):
    return make_shop(client, "flowers")


def make_shop(client, slug):
    r = client.post(
        "/shops",
        json={
            "name": slug.title(),
            "slug": slug,
            "owner_email": f"owner@{slug}.example",
            "owner_password": "password1",
            "owner_name": "Olga",
        },
    )
    assert r.status_code == 201, r.text
    return {"Authorization": f"Bearer {r.json()['access_token']}"}
