"""The copy of an app, the environment it gets, and what is refused before anything starts."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdtrue.stage.process import (
    CopyError,
    UnsafeToStartError,
    base_environment,
    copy_app,
    refuse_live_keys_in_files,
    refuse_live_secrets,
    refuse_remote_addresses,
)

# Made up, and put together here so that no scanner of ours or of others takes this file for a leak.
LIVE = "sk_" + "live_" + "51Hx8Kq2eZvKYlo2C0aBcDeF"
RESTRICTED = "rk_" + "live_" + "51Hx8Kq2eZvKYlo2C0aBcDeF"
SENDGRID = "SG." + "ngeVfQFYQlKU0ufo8x5d1A" + "." + "TwL2iGABf9DHoTf09kqeF8tAmbihYzrnopKc1s5cr1g"
AWS = "AKIA" + "Q3EGRTZXWUPL5K7D"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    (app / "shop").mkdir(parents=True)
    (app / "shop" / "main.py").write_text("print('hello')\n")
    (app / "run.sh").write_text("#!/bin/sh\n")
    (app / "run.sh").chmod(0o755)
    return app


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


# -- the copy --------------------------------------------------------------------------------------------------------


async def test_the_copy_has_the_app_and_leaves_out_secrets_environments_and_caches(app: Path, tmp_path: Path) -> None:
    for name in (".env", ".env.production", ".envrc", ".git/config", "node_modules/x/index.js", ".venv/pyvenv.cfg"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("STRIPE=1")
    for name in ("shop/__pycache__/main.pyc", ".holdtrue/log", "python3/pyvenv.cfg", "shop/.env.local"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("x")
    os.mkfifo(app / "pipe")
    done = await copy_app(app, tmp_path / "copy")
    assert files(done.path) == ["run.sh", "shop/main.py"]
    assert (done.files, done.size) == (2, len("print('hello')\n") + len("#!/bin/sh\n"))
    assert os.access(done.path / "run.sh", os.X_OK)
    reasons = {left.path: left.reason for left in done.left_out}
    assert set(reasons) == {
        *(".env", ".env.production", ".envrc", ".git", "node_modules", ".venv", ".holdtrue", "python3", "pipe"),
        *("shop/__pycache__", "shop/.env.local"),
    }
    assert (reasons["python3"], reasons["pipe"]) == ("a virtual environment", "not a regular file")


async def test_writing_to_the_copy_never_reaches_the_original(app: Path, tmp_path: Path) -> None:
    (app / "settings.py").symlink_to(app / "shop" / "main.py")
    (app / "package").symlink_to("shop", target_is_directory=True)
    copy = (await copy_app(app, tmp_path / "copy")).path
    assert (copy / "settings.py").resolve() == (copy / "shop" / "main.py").resolve()
    (copy / "settings.py").write_text("changed")
    (copy / "package" / "new.py").write_text("new")
    assert files(app) == ["run.sh", "settings.py", "shop/main.py"]
    assert (app / "shop" / "main.py").read_text() == "print('hello')\n"


async def test_links_that_leave_the_app_or_lead_to_what_is_left_out_are_left_out(app: Path, tmp_path: Path) -> None:
    (tmp_path / "production.key").write_text("secret")
    (app / ".env").write_text("A=1")
    for name, target in {
        "outside": tmp_path / "production.key",
        "above": "..",
        "settings": ".env",
        "nothing": "no-such-file",
        "loop": "loop",
    }.items():
        (app / name).symlink_to(target)
    done = await copy_app(app, tmp_path / "copy")
    assert files(done.path) == ["run.sh", "shop/main.py"]
    assert {left.path: left.reason for left in done.left_out} == {
        ".env": "named like .env*",
        "outside": "a link that leaves the app's directory",
        "above": "a link that leaves the app's directory",
        "settings": "a link to something that is left out",
        "nothing": "a link to nothing",
        "loop": "a link to nothing",
    }


async def test_a_huge_directory_is_refused_and_its_largest_places_are_named(app: Path, tmp_path: Path) -> None:
    (app / "uploads" / "2024").mkdir(parents=True)
    (app / "uploads" / "2024" / "film.mp4").write_bytes(b"\0" * 3000)
    with pytest.raises(CopyError, match=r"most is in uploads/2024"):
        await copy_app(app, tmp_path / "copy", limit=1000)
    assert not (tmp_path / "copy").exists()


async def test_a_copy_into_the_app_itself_is_refused(app: Path) -> None:
    with pytest.raises(CopyError, match="the copy would lie inside the app"):
        await copy_app(app, app / "scratch")


async def test_a_missing_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CopyError, match="is not a directory"):
        await copy_app(tmp_path / "nothing", tmp_path / "copy")


# -- the environment -------------------------------------------------------------------------------------------------


def test_the_app_inherits_only_path_language_and_time_zone(tmp_path: Path) -> None:
    ours = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": "/home/me",
        "STRIPE_KEY": "x",
        "TERM": "xterm",
        "PGHOST": "x",
    }
    environment = base_environment(tmp_path, parent=ours)
    home, temporary = environment.pop("HOME"), environment.pop("TMPDIR")
    assert environment == {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC"}
    assert Path(home).is_dir() and Path(home).is_relative_to(tmp_path)
    assert Path(temporary).is_dir() and Path(temporary).is_relative_to(tmp_path)


# -- live credentials ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("STRIPE_SECRET_KEY", LIVE, "a live Stripe secret key"),
        ("STRIPE_API_KEY", f" '{RESTRICTED}' ", "a live Stripe restricted key"),
        ("SMTP_URL", f"smtp://apikey:{SENDGRID}@localhost", "a SendGrid key"),
        ("AWS_ACCESS_KEY_ID", AWS, "an AWS access key id"),
        ("MAIL_KEY", "re_" + "H4kQz9Lm" + "_" + "Bx7TfNwYpRs2VdGjKc5Ha8Ue", "a Resend key"),
        (
            "MAIL_KEY",
            "key-" + "3ax6xnjp29jd6fds4gc373sgvjxteol0".translate(str.maketrans("xnjpgsvtol", "abcdefabcd")),
            "a Mailgun",
        ),
        ("POSTMARK_SERVER_TOKEN", "6f2c1c8e-4b7d-4c39-9d0a-" + "8f1b3e5a7c92", "a Postmark token"),
    ],
)
def test_a_live_credential_in_the_document_or_in_the_shell_is_refused(name: str, value: str, what: str) -> None:
    for declared, parent in (({name: value}, {}), ({}, {name: value})):
        with pytest.raises(UnsafeToStartError) as refused:
            refuse_live_secrets(declared, parent=parent)
        (danger,) = refused.value.dangers
        assert danger.where == name
        assert danger.what.startswith(what)
        assert value.strip(" '") not in str(refused.value)
        assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "value",
    [
        "sk_test_51Hx8Kq2eZvKYlo2C0aBcDeF",
        "whsec_" + "51Hx8Kq2eZvKYlo2C0aBcDeF",
        "pk_live_51Hx8Kq2eZvKYlo2C0aBcDeF",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "sk_live_...",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "SG.placeholder",
        "pre_commit_hooks_and_more_things",
        "6f2c1c8e-4b7d-4c39-9d0a-8f1b3e5a7c92",
    ],
)
def test_test_keys_and_placeholders_pass(value: str) -> None:
    refuse_live_secrets({"KEY": value}, parent={"KEY": value})


async def test_a_live_key_in_a_file_is_refused_by_file_and_line(app: Path) -> None:
    (app / "shop" / "pay.py").write_text(f"import stripe\n\nstripe.api_key = '{LIVE}'\n")
    (app / "logo.png").write_bytes(b"\0" + LIVE.encode())
    with pytest.raises(UnsafeToStartError) as refused:
        await refuse_live_keys_in_files(app)
    assert [danger.where for danger in refused.value.dangers] == ["shop/pay.py:3"]
    assert LIVE not in str(refused.value)
    await refuse_live_keys_in_files(app, ignore=["shop/pay.py"])


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": "postgresql://u:p@127.0.0.1:5432/db"},
        {"DATABASE_URL": "postgresql+psycopg://u:p%40x@localhost/db?sslmode=disable"},
        {"DATABASE_URL": "postgres://u@[::1]:5432/db"},
        {"DATABASE_URL": "jdbc:postgresql://127.0.0.2:1/db"},
        {"REDIS_URL": "redis:///0"},
        {"DATABASE_URL": "sqlite:///./app.db"},
        {"DSN": "host=127.0.0.1 port=5432 dbname=app"},
        {"DB_HOST": "localhost", "PGHOST": "127.0.0.1", "REDIS_HOST": "::1"},
        {"SMTP_HOST": "127.0.0.1", "EMAIL_HOST_USER": "me@shop.example", "MAIL_FROM": "me@shop.example"},
        {"PUBLIC_URL": "https://shop.example", "ALLOWED_HOSTS": "shop.example", "STRIPE_URL": "https://api.stripe.com"},
    ],
)
def test_addresses_on_this_machine_pass(environment: Mapping[str, str]) -> None:
    refuse_remote_addresses(environment)


@pytest.mark.parametrize(
    ("name", "value", "host"),
    [
        ("DATABASE_URL", "postgresql://u:hunter2@db.prod.example:5432/app", "db.prod.example"),
        ("DATABASE_URL", "postgresql+asyncpg://u:hunter2@10.0.0.5/app", "10.0.0.5"),
        ("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:5432,db2.prod.example:5432/app", "db2.prod.example"),
        ("DATABASE_URL", "postgresql://localhost/app?host=db.prod.example", "db.prod.example"),
        ("DATABASE_URL", "postgresql:///app", "this machine's own server"),
        ("DATABASE_URL", "postgresql:///app?host=/var/run/postgresql", "/var/run/postgresql"),
        ("DATABASE_URL", "postgres://u:hunter2@[2001:db8::5]:5432/app", r"\[2001:db8::5\]"),
        ("DATABASE_URL", "postgres://localhost.prod.example/app", "localhost.prod.example"),
        ("JDBC", "jdbc:mysql://db.prod.example:3306/app", "db.prod.example"),
        ("CACHE", "rediss://:hunter2@cache.prod.example:6380/0", "cache.prod.example"),
        ("MONGO", "mongodb+srv://u:hunter2@cluster0.prod.example/app", "cluster0.prod.example"),
        ("SETTINGS", '{"db": "mysql://db.prod.example/app"}', "db.prod.example"),
        ("DSN", "host=db.prod.example dbname=app password=hunter2", "db.prod.example"),
        ("PGHOST", "db.prod.example", "db.prod.example"),
        ("APP_DB_HOST", "db", "db"),
        ("REDIS_HOST", "cache.prod.example:6379", "cache.prod.example"),
        ("SMTP_HOST", "smtp.sendgrid.net", "smtp.sendgrid.net"),
        ("EMAIL_HOST", "smtp.gmail.com", "smtp.gmail.com"),
        ("MAIL_SERVER", "10.0.0.25", "10.0.0.25"),
        ("MAILER_DSN", "smtp://u:hunter2@smtp.prod.example:587", "smtp.prod.example"),
    ],
)
def test_a_database_or_mail_server_elsewhere_is_refused(name: str, value: str, host: str) -> None:
    with pytest.raises(UnsafeToStartError, match=f"{name}: a (database|mail server) at {host}") as refused:
        refuse_remote_addresses({"SAFE": "1", name: value})
    assert "hunter2" not in str(refused.value)


def test_a_mail_server_that_is_redirected_passes_and_a_database_never_does() -> None:
    refuse_remote_addresses({"SMTP_HOST": "smtp.sendgrid.net"}, redirected={"smtp.sendgrid.net"})
    with pytest.raises(UnsafeToStartError):
        refuse_remote_addresses({"PGHOST": "db.prod.example"}, redirected={"db.prod.example"})


def test_all_dangers_are_told_at_once() -> None:
    with pytest.raises(UnsafeToStartError, match="2 dangers in sight") as refused:
        refuse_remote_addresses({"PGHOST": "db.prod.example", "STRIPE_KEY": LIVE})
    assert [danger.where for danger in refused.value.dangers] == ["PGHOST", "STRIPE_KEY"]
