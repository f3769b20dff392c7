"""An app's tokens: what is a JWT, what signed it, and where each kind belongs."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws as peer
from joserfc.jwk import import_key

from holdtrue.contract.document import Document
from holdtrue.stage.tokens import Jws, SigningKey, captures_of, filled_with, mailed_kinds, read_jws
from holdtrue.stage.tokens.jws import encoded_json
from holdtrue.stage.tokens.keys import key_among, literals, noted
from holdtrue.stage.tokens.published import forms_of

SECRET = "a secret of the app's own, 0123456789abcdef"
CLAIMS = {"sub": "7", "exp": 4_000_000_000, "name": "Ünal"}


def unsigned(alg: str) -> Jws:
    return Jws(
        header={"alg": alg, "typ": "JWT"},
        claims=CLAIMS,
        signature=b"",
        protected=f"{encoded_json({'alg': alg, 'typ': 'JWT'})}.{encoded_json(CLAIMS)}",
    )


def signed(secret: bytes = SECRET.encode(), alg: str = "HS256") -> Jws:
    return SigningKey(alg=alg, secret=secret).sign(unsigned(alg))


def read(text: str) -> Jws:
    token = read_jws(text)
    assert token is not None
    return token


def test_a_token_is_the_same_after_it_was_taken_apart() -> None:
    text = signed().text
    token = read(text)
    assert (token.alg, token.claims, token.text) == ("HS256", CLAIMS, text)
    assert token.altered(signature=token.signature).text == text


def test_what_is_not_changed_stays_byte_for_byte() -> None:
    spaced = base64.urlsafe_b64encode(b'{ "alg": "HS256" }').decode().rstrip("=")
    payload = encoded_json(CLAIMS)
    token = read(f"{spaced}.{payload}.c2ln")
    assert token.unsigned(claims={"sub": "8"}).protected.split(".")[0] == spaced
    assert token.unsigned(header={"alg": "none"}).text.split(".")[1:] == [payload, ""]


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "opaque",
        "a.b.c",
        "1f0c.2e1d.zz",
        "eyJ1c2VyX2lkIjoxfQ.ZyDfYw.3kDRmtKkS5Yk0xVXZ0",  # a session of Flask: {"user_id":1}.time.signature
        f"{encoded_json({'alg': 'HS256'})}.bm90IGpzb24.c2ln",
        f"{encoded_json({'alg': 'HS256'})}.{encoded_json({})}.ä",
    ],
)
def test_what_only_looks_like_a_jwt_is_none(text: object) -> None:
    assert read_jws(text) is None


def test_a_shared_secret_is_found_in_every_form_an_app_may_keep_it_in() -> None:
    raw = hashlib.sha256(b"root").digest()
    for alg in ("HS256", "HS384", "HS512"):
        for form in (
            raw.hex(),
            base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
            raw,
        ):
            found = key_among(["https://shop.test", "", form], signed(raw, alg))
            assert found is not None
            assert found[1] == form
    assert key_among([SECRET], signed(raw)) is None


PAIRS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
PAIRS["PS384"] = PAIRS["RS256"]


def pem(private: Any) -> str:
    text: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


@pytest.mark.parametrize("alg", PAIRS)
def test_a_private_key_signs_what_others_verify(alg: str) -> None:
    """And the other way round: the signature of a widely used library is told to be of that key."""
    text = pem(PAIRS[alg])
    key = import_key(text, "OKP" if alg == "Ed25519" else "EC" if alg == "ES256" else "RSA")
    registry = peer.JWSRegistry(algorithms=[alg])
    theirs = read(peer.serialize_compact({"alg": alg}, json.dumps(CLAIMS), key, registry=registry))
    found = key_among([SECRET, text.replace("\n", "\\n")], theirs)
    assert found is not None
    ours = found[0].sign(theirs.unsigned(claims={"sub": "8"}))
    assert peer.deserialize_compact(ours.text, key, registry=registry).payload == b'{"sub":"8"}'
    assert not found[0].made(theirs.altered(claims={"sub": "8"}, signature=theirs.signature))
    assert (
        key_among([pem(ed25519.Ed25519PrivateKey.generate()), pem(ec.generate_private_key(ec.SECP256R1()))], theirs)
        is None
    )


def test_the_line_a_process_was_killed_in_is_no_key(tmp_path: Path) -> None:
    whole = json.dumps({"key": base64.b64encode(b"key").decode()})
    tmp_path.joinpath("keys.jsonl").write_text(f"{whole}\n{whole[:-4]}")
    assert list(noted([tmp_path / "keys.jsonl"])) == [b"key"]


def test_a_key_that_is_a_constant_is_found_in_the_apps_own_sources(tmp_path: Path) -> None:
    tmp_path.joinpath("settings.py").write_text(f'SECRET = "{SECRET}"\n'.replace("app's", "apps"))
    others = tmp_path / "node_modules" / "their"
    others.mkdir(parents=True)
    others.joinpath("index.js").write_text("const key = 'of somebody else'\n")
    assert list(literals(tmp_path)) == [SECRET.replace("app's", "apps")]


def test_the_public_key_is_known_in_the_forms_a_verifier_holds_it_in() -> None:
    key = SigningKey(alg="RS256", private=PAIRS["RS256"])
    jwk = import_key(pem(PAIRS["RS256"]), "RSA").as_dict(private=False)
    other = import_key(pem(PAIRS["ES256"]), "EC").as_dict(private=False)
    published = [{"keys": [{**other, "kid": "old"}, {**jwk, "kid": "new"}]}, {"keys": "none"}, ["keys"], None]
    token = Jws(header={"alg": "RS256", "kid": "new"}, claims={}, signature=b"", protected="e30.e30")
    assert key.public_pem is not None
    for forms in (forms_of(token, [], key, []), forms_of(token, [], None, published)):
        assert key.public_pem.encode() in forms
        assert key.public_pem.encode().rstrip(b"\n") in forms
        assert any(form.startswith(b"-----BEGIN RSA PUBLIC KEY") for form in forms)
    assert json.dumps({**jwk, "kid": "new"}).encode() in forms_of(token, [], None, published)
    assert not any(b"old" in form for form in forms_of(token, [], None, published))
    assert forms_of(token, [f"{key.public_pem}"], None, [])[0].strip() == key.public_pem.encode().strip()
    assert forms_of(token, [], None, []) == []


def document(**more: Any) -> Document:
    inbox = {"mail": "x@a.test", "capture": {"reset_token": "=(.+)"}}
    return Document.model_validate(
        {
            "app": {"name": "one"},
            "process": {"asgi": "app:app"},
            "principals": {
                "member": {
                    "steps": [
                        {"mail": "x@a.test", "capture": {"invitation": "=(.+)", "greeting": "Hi (.+)"}},
                        {"request": "POST /set-password", "json": {"token": "{invitation}"}},
                    ]
                }
            },
            "routes": {
                "POST /set-password": {"public": "mailed", "before": [inbox], "json": {"token": "{reset_token}"}},
                "GET /confirm/{token}": {
                    "public": "mailed",
                    "params": {"token": "{confirmation}"},
                    "before": [{"mail": "x@a.test", "capture": {"confirmation": "=(.+)"}}],
                },
                "GET /orders": {"permission": "signed_in", "query": {"q": "{canary}"}},
            },
            **more,
        }
    )


def test_two_mailed_tokens_that_one_request_takes_are_one_kind() -> None:
    kinds = {kind.variables: kind.homes for kind in mailed_kinds(document())}
    assert kinds == {
        frozenset({"invitation", "reset_token"}): {"POST /set-password"},
        frozenset({"confirmation"}): {"GET /confirm/{token}"},
    }


def test_a_route_is_filled_with_the_variables_behind_its_parameters() -> None:
    assert filled_with(document(), "GET /confirm/{token}") == {"confirmation"}
    assert filled_with(document(), "GET /orders") == {"canary"}


def test_a_session_is_looked_for_where_the_document_captures_one() -> None:
    login = {"request": "POST /login", "capture": {"access_token": "token"}}
    form = {"request": "POST /form", "capture": {"access_token": "cookie:session"}}
    told = document(principals={"member": {"steps": [login, login, form]}})
    assert captures_of(told, "access_token") == ["token", "cookie:session"]
    assert captures_of(told, "refresh_token") == []


def test_a_key_that_verifies_is_one_that_signs() -> None:
    token = signed()
    expected = hmac.digest(SECRET.encode(), token.protected.encode(), "sha256")
    assert token.signature == expected
    assert SigningKey(alg="HS256", secret=SECRET.encode()).made(token)
    assert not SigningKey(alg="HS256", secret=b"another").made(token)
