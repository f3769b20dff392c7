import base64
import json
import time
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from plainshop.settings import load_settings
from pydantic import ValidationError

from tests.fakes import PASSWORD, at_once, part, send_mails


def login(client, shop, password=PASSWORD, email=None):
    body = {"shop": shop.slug, "email": email or shop.owner, "password": password}
    return client.post("/auth/login", json=body)


def refresh(client, token):
    return client.post("/auth/refresh", json={"refresh_token": token})


def test_a_login_is_told_nothing_about_who_exists(client, shop):
    wrong = login(client, shop, "not the password")
    nobody = login(client, shop, email="nobody@alpha.example")
    no_shop = client.post("/auth/login", json={"shop": "no-shop", "email": shop.owner, "password": PASSWORD})
    assert wrong.status_code == nobody.status_code == no_shop.status_code == 401
    assert wrong.content == nobody.content == no_shop.content
    assert login(client, shop, email=shop.owner.upper()).json()["token_type"] == "bearer"


def test_logins_are_limited_whatever_the_case_of_the_address(client, shop, monkeypatch):
    client.app.state.settings = client.app.state.settings.model_copy(update={"login_limit_per_minute": 3})
    emails = [shop.owner, shop.owner.upper(), shop.owner.title(), shop.owner]
    assert [login(client, shop, "wrong", email).status_code for email in emails] == [401, 401, 401, 429]


def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(client, shop):
    second = refresh(client, shop.refresh).json()
    third = refresh(client, second["refresh_token"]).json()
    assert refresh(client, shop.refresh).status_code == 401
    assert refresh(client, third["refresh_token"]).status_code == 401
    assert shop.call("GET", "/products", token=third["access_token"]).status_code == 401


def test_twenty_refreshes_at_once_have_one_winner(client, shop, admin):
    answers = at_once([lambda: refresh(client, shop.refresh)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    assert admin.execute("SELECT count(*) FROM refresh_tokens").fetchone() == (2,)


def test_a_session_ends_however_often_it_is_refreshed(client, shop, admin):
    admin.execute("UPDATE login_sessions SET expires_at = now() - interval '1 second'")
    assert refresh(client, shop.refresh).status_code == 401
    assert shop.call("GET", "/products").status_code == 401


def test_logout_ends_access_and_refresh(client, shop):
    assert client.post("/auth/logout", json={"refresh_token": shop.refresh}).status_code == 204
    assert shop.call("GET", "/products").status_code == 401
    assert refresh(client, shop.refresh).status_code == 401


def test_a_reset_works_once_and_ends_all_sessions(client, shop, settings, smtp):
    assert client.post("/auth/forgot", json={"shop": shop.slug, "email": shop.owner}).status_code == 202
    send_mails(settings)
    token = smtp.token_for(shop.owner)
    new = {"token": token, "password": "another good password"}
    answers = at_once([lambda: client.post("/auth/reset", json=new)] * 5)
    assert sorted(answer.status_code for answer in answers) == [204, 400, 400, 400, 400]
    assert shop.call("GET", "/products").status_code == 401
    assert refresh(client, shop.refresh).status_code == 401
    assert login(client, shop).status_code == 401
    assert login(client, shop, "another good password").status_code == 200


def test_a_new_password_needs_the_current_one_and_ends_all_sessions(client, shop, settings, smtp, admin):
    other = login(client, shop).json()
    client.post("/auth/forgot", json={"shop": shop.slug, "email": shop.owner})
    send_mails(settings)
    link = {"token": smtp.token_for(shop.owner), "password": "a third password"}

    def change(current):
        return shop.call("POST", "/auth/password", {"current": current, "new": "another good password"}).status_code

    assert change("not the password") == 400
    assert sorted(at_once([lambda: change(PASSWORD)] * 3))[0] == 204
    for token in (shop.token, other["access_token"]):
        assert shop.call("GET", "/products", token=token).status_code == 401
    assert refresh(client, shop.refresh).status_code == refresh(client, other["refresh_token"]).status_code == 401
    assert client.post("/auth/reset", json=link).status_code == 400
    assert login(client, shop).status_code == 401
    assert login(client, shop, "another good password").status_code == 200
    changed = "SELECT count(*) FROM audit_events WHERE action = 'auth.password_changed'"
    assert admin.execute(changed).fetchone() == (1,)


def test_guesses_at_the_current_password_are_limited(client, shop):
    client.app.state.settings = client.app.state.settings.model_copy(update={"login_limit_per_minute": 2})
    body = {"current": "wrong", "new": "another good password"}
    assert [shop.call("POST", "/auth/password", body).status_code for _ in range(3)] == [400, 400, 429]


def test_a_token_opens_only_what_its_scope_names(client, shop):
    def answer(scope):
        return shop.call("GET", "/products", token=forged(client, shop, claims={"scope": scope})).status_code

    assert answer("orders.read products.read") == 200
    for scope in ("", "orders.read", "products", "products.readers", "my.products.read", "products.read,orders.read"):
        assert answer(scope) == 403


def test_forgot_answers_the_same_for_nobody_and_sends_nothing(client, shop, settings, smtp, admin):
    known = client.post("/auth/forgot", json={"shop": shop.slug, "email": shop.owner})
    unknown = client.post("/auth/forgot", json={"shop": shop.slug, "email": "nobody@alpha.example"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    send_mails(settings)
    assert [mail["To"] for mail in smtp.sent if "Reset" in mail["Subject"]] == [shop.owner]
    assert admin.execute("SELECT count(*) FROM mail_outbox WHERE status = 'dropped'").fetchone() == (1,)


def test_forgot_sends_only_so_much_mail_and_links_to_the_configured_host(client, shop, settings, smtp):
    client.app.state.settings = settings.model_copy(update={"mail_limit_per_hour": 3})
    for _ in range(10):
        spoofed = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        body = {"shop": shop.slug, "email": shop.owner}
        assert client.post("/auth/forgot", json=body, headers=spoofed).status_code == 202
    send_mails(settings)
    resets = [mail for mail in smtp.sent if "Reset" in mail["Subject"]]
    assert len(resets) == 2  # the welcome mail was the first
    assert all("https://plainshop.example/reset?token=" in part(mail, "plain") for mail in resets)
    assert not any("evil" in mail.as_string() for mail in resets)


def test_no_credential_is_stored_as_it_was_issued(client, shop, settings, smtp, admin):
    client.post("/auth/forgot", json={"shop": shop.slug, "email": shop.owner})
    shop.call("POST", "/members/invitations", {"email": "new@alpha.example", "role": "viewer"})
    send_mails(settings)
    issued = [shop.refresh, shop.token, PASSWORD, smtp.token_for(shop.owner), smtp.token_for("new@alpha.example")]
    secret_parts = [part for token in issued for part in token.split(".")[-1:]]
    tables = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    dump = "".join(str(admin.execute(f"SELECT * FROM {table}").fetchall()) for (table,) in tables)  # noqa: S608
    assert not [part for part in secret_parts if part in dump]


def forged(client, shop, *, header=None, claims=None, key=None, drop=()):
    tokens = client.app.state.tokens
    parsed = jwt.decode(shop.token, tokens._keys)
    body = {name: value for name, value in (parsed.claims | (claims or {})).items() if name not in drop}
    head = parsed.header | (header or {})
    return jwt.encode(head, body, key or tokens._keys, algorithms=["HS256"])


@pytest.mark.parametrize(
    "change",
    [
        {"claims": {"exp": int(time.time()) - 5}},
        {"drop": ["exp"]},
        {"claims": {"aud": "other"}},
        {"claims": {"aud": ["plainshop-api", "other"]}},
        {"drop": ["aud"]},
        {"drop": ["scope"]},
        {"claims": {"scope": ["products.read"]}},
        {"claims": {"iss": "plainshop.evil"}},
        {"claims": {"sub": str(uuid4())}},
        {"claims": {"sid": str(uuid4())}},
        {"claims": {"shop": str(uuid4())}},
        {"claims": {"sub": 7}},
        {"header": {"typ": "JWT"}},
        {"header": {"kid": "../../dev/null"}, "key": OctKey.import_key(b"\0" * 32)},
        {"key": OctKey.import_key(b"some other key of thirty-two bytes")},
    ],
)
def test_a_token_that_is_not_quite_ours_is_refused(client, shop, change):
    assert shop.call("GET", "/products", token=forged(client, shop)).status_code == 200
    assert shop.call("GET", "/products", token=forged(client, shop, **change)).status_code == 401


def test_an_unsigned_or_altered_token_is_refused(client, shop):
    head, body, signature = shop.token.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    for token in (f"{none}.{body}.", f"{none}.{body}.{signature}", f"{head}.{body[:-4]}AAAA.{signature}", "x", "a.b.c"):
        assert shop.call("GET", "/products", token=token).status_code == 401
    assert shop.call("GET", "/products", token=shop.refresh).status_code == 401


@pytest.mark.parametrize("key", ["", "short-one", "secret" * 6, "changeme-0123456789-abcdefghijklm"])
def test_a_weak_secret_key_stops_the_boot(settings, monkeypatch, key):
    monkeypatch.setenv("SECRET_KEY", key)
    with pytest.raises(ValidationError) as refused:
        load_settings()
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "SECRET_KEY", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS", "BASE_URL"])
def test_a_missing_setting_stops_the_boot(settings, monkeypatch, name):
    monkeypatch.delenv(name)
    with pytest.raises(ValidationError):
        load_settings()


def test_after_a_key_rotation_old_tokens_live_only_while_the_old_key_is_listed(client, shop, settings):
    from plainshop.tokens import Tokens

    new = settings.model_copy(update={"secret_key": type(settings.secret_key)("N3w-" + "k7Qz" * 9 + "abcdefgh")})
    client.app.state.tokens = Tokens(new.model_copy(update={"secret_keys_previous": (settings.secret_key,)}))
    assert shop.call("GET", "/products").status_code == 200
    client.app.state.tokens = Tokens(new)
    assert shop.call("GET", "/products").status_code == 401
