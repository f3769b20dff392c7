"""The public halves of an app's signing keys, as anybody can get them: what an attacker would sign an HMAC with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from holdtrue.stage.tokens.jws import Jws, decoded
from holdtrue.stage.tokens.keys import SigningKey, app_environment

if TYPE_CHECKING:
    from holdtrue.stage.stage import Stage

_PEM = re.compile(r"-----BEGIN (?:RSA )?PUBLIC KEY-----.*?-----END (?:RSA )?PUBLIC KEY-----", re.DOTALL)
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def public_forms(stage: Stage, token: Jws, key: SigningKey | None, published: list[object]) -> list[bytes]:
    """Every text that a verifier may hold in its hand as the public key.

    ``published`` are the JSON answers of public routes: a JWK Set (RFC 7517 §5) is known by its ``keys``. Of several
    keys those count that the token's ``kid`` names. ``key`` is the signing key, where that was found.
    """
    return forms_of(token, app_environment(stage), key, published)


def forms_of(token: Jws, values: Iterable[str], key: SigningKey | None, published: list[object]) -> list[bytes]:
    """The same, given the values of the app's environment."""
    forms: dict[bytes, None] = {}
    for jwk in _jwks(published, token.header.get("kid")):
        forms[json.dumps(jwk).encode()] = None
        forms[json.dumps(jwk, separators=(",", ":")).encode()] = None
        if (public := _public(jwk)) is not None:
            forms |= dict.fromkeys(_pems(public))
    for value in values:
        for block in _PEM.findall(value.replace("\\n", "\n")):
            forms |= dict.fromkeys((value.encode(), block.encode(), f"{block}\n".encode()))
    if key is not None and key.public_pem is not None:
        forms |= dict.fromkeys(_pems(load_pem_public_key(key.public_pem.encode())))
    return list(forms)


def _jwks(published: list[object], kid: object) -> Iterator[Mapping[str, Any]]:
    for told in published:
        keys = told.get("keys") if isinstance(told, dict) else None
        found = [each for each in keys if isinstance(each, dict) and "kty" in each] if isinstance(keys, list) else []
        named = [each for each in found if each.get("kid") == kid]
        yield from named or found


def _public(jwk: Mapping[str, Any]) -> PublicKeyTypes | None:
    try:
        match jwk["kty"]:
            case "RSA":
                return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
            case "EC":
                numbers = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), _CURVES[jwk["crv"]])
                return numbers.public_key()
            case "OKP" if jwk["crv"] == "Ed25519":
                return ed25519.Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))
    except (KeyError, ValueError, TypeError):
        return None  # not a key that anybody could verify with
    return None


def _number(text: str) -> int:
    return int.from_bytes(decoded(text), "big")


def _pems(public: PublicKeyTypes) -> Iterator[bytes]:
    formats = [PublicFormat.SubjectPublicKeyInfo]
    if isinstance(public, rsa.RSAPublicKey):
        formats.append(PublicFormat.PKCS1)
    for form in formats:
        pem = public.public_bytes(Encoding.PEM, form)
        yield from (pem, pem.rstrip(b"\n"))
    yield public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
