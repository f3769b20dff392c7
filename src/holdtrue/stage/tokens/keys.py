"""The key that signs an app's JWTs, found where the app has it: so that a token can be right but for one claim.

Three places are looked at, and a key counts only when it made a genuine token's signature:

- the app's environment as the document renders it, each value as it stands and as base64 or hexadecimal digits;
- what the processes of a Python app were seen to sign with (``redirect/python/holdtrue_keys.py``), for a key that is
  derived from a setting, or kept in the database;
- texts in the app's own source, where a key is a constant.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.tokens.jws import Jws

if TYPE_CHECKING:
    from holdtrue.stage.stage import Stage

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_TEXT = re.compile(r"""(["'`])((?:(?!\1)[^\\\n]){4,300})\1""")
_SOURCES = {".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php", ".go", ".java", ".json", ".toml", ".yaml", ".yml"}
_FOREIGN = {"node_modules", "site-packages", ".git", "vendor", "dist"}
_LARGEST = 256 * 1024
"""Bytes of a source file; what is larger was not written by hand."""


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A key that made the signature of a genuine token."""

    alg: str
    secret: bytes | None = None
    """Of an HMAC."""
    private: PrivateKey | None = None
    """Of a signature."""

    def sign(self, token: Jws) -> Jws:
        """The token under a right signature."""
        return replace(token, signature=self._signature(token.protected.encode()))

    @property
    def public_pem(self) -> str | None:
        """The public half, as whoever verifies has it; None for a shared secret."""
        if self.private is None:
            return None
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def _signature(self, data: bytes) -> bytes:
        if self.secret is not None:
            return hmac.digest(self.secret, data, f"sha{self.alg[2:]}")
        match self.private:
            case rsa.RSAPrivateKey():
                digest = _HASHES[self.alg[2:]]()
                return self.private.sign(data, _padding(self.alg, digest), digest)
            case ec.EllipticCurvePrivateKey():
                r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(_HASHES[self.alg[2:]]())))
                size = (self.private.key_size + 7) // 8
                return r.to_bytes(size, "big") + s.to_bytes(size, "big")
            case ed25519.Ed25519PrivateKey():
                return self.private.sign(data)
            case None:
                raise AssertionError("a signing key has one of the two")

    def made(self, token: Jws) -> bool:
        """Whether the token's signature is of this key (RFC 7518 §3; RFC 8037 and RFC 9864 for Ed25519)."""
        data, signature = token.protected.encode(), token.signature
        if self.secret is not None:
            return hmac.compare_digest(self._signature(data), signature)
        try:
            match self.private:
                case rsa.RSAPrivateKey():
                    digest = _HASHES[self.alg[2:]]()
                    self.private.public_key().verify(signature, data, _padding(self.alg, digest), digest)
                case ec.EllipticCurvePrivateKey():
                    half = len(signature) // 2
                    pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
                    used = ec.ECDSA(_HASHES[self.alg[2:]]())
                    self.private.public_key().verify(encode_dss_signature(*pair), data, used)
                case ed25519.Ed25519PrivateKey():
                    self.private.public_key().verify(signature, data)
        except InvalidSignature:
            return False
        return True


def signing_key_of(stage: Stage, token: Jws) -> SigningKey | None:
    """Find the key that signed a genuine token. What is found is kept out of every report.

    Some tens of milliseconds where the app's sources must be read.
    """
    found = key_among(_candidates(stage), token)
    if found is None:
        return None
    key, text = found
    stage.redactor.learn("signing secret", text if isinstance(text, str) else text.decode("latin-1"))
    return key


def key_among(candidates: Iterable[str | bytes], token: Jws) -> tuple[SigningKey, str | bytes] | None:
    """The first candidate that made a genuine token's signature: the key, and the text it was read from."""
    for text in candidates:
        for key in _keys(text, token.alg):
            if key.made(token):
                return key, text
    return None


def _candidates(stage: Stage) -> Iterator[str | bytes]:
    for value in app_environment(stage):
        yield value
        yield from re.split(r"[,;\s]+", value)
    yield from noted(stage.setting.scratch.glob("redirect-*/keys.jsonl"))
    yield from literals(stage.setting.copy)


def app_environment(stage: Stage) -> list[str]:
    """The values of the app's environment, with its secrets."""
    instruments = replace(Instruments.nobody(), secret_root=stage.setting.secret_root)
    return list(instruments.environment(stage.document.process.env, {"python": "python"}).values())


def noted(files: Iterable[Path]) -> Iterator[bytes]:
    """The keys that the app's processes were seen to sign with."""
    for file in sorted(files):
        for line in file.read_bytes().splitlines():
            try:
                yield base64.b64decode(json.loads(line)["key"])
            except (ValueError, TypeError, KeyError):
                continue  # the line that a process was killed in


def literals(directory: Path) -> Iterator[str]:
    """Texts in an app's own sources that may be a key."""
    seen: set[str] = set()
    for path in sorted(directory.rglob("*")):
        if path.suffix not in _SOURCES or _FOREIGN & set(path.relative_to(directory).parts):
            continue
        if not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        source = path.read_text(errors="replace")
        for text in (*_PEM.findall(source), *(found[2] for found in _TEXT.finditer(source))):
            if text not in seen:
                seen.add(text)
                yield text


def _keys(text: str | bytes, alg: str) -> Iterator[SigningKey]:
    if re.fullmatch(r"HS(256|384|512)", alg):
        for secret in _secrets(text):
            yield SigningKey(alg=alg, secret=secret)
    elif re.fullmatch(r"(RS|PS|ES)(256|384|512)|EdDSA|Ed25519", alg):
        pem = text.decode("latin-1") if isinstance(text, bytes) else text.replace("\\n", "\n")
        for block in _PEM.findall(pem):
            try:
                private = load_pem_private_key(block.encode(), password=None)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue
            if isinstance(private, PrivateKey) and _fits(private, alg):
                yield SigningKey(alg=alg, private=private)


def _secrets(text: str | bytes) -> Iterator[bytes]:
    if isinstance(text, bytes):
        yield text
        return
    yield text.encode()
    for read in (_hexadecimal, _base64, _base64url):
        try:
            secret = read(text)
        except (ValueError, binascii.Error):
            continue
        if secret:
            yield secret


def _hexadecimal(text: str) -> bytes:
    return bytes.fromhex(text)


def _base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _fits(private: PrivateKey, alg: str) -> bool:
    match private:
        case rsa.RSAPrivateKey():
            return alg[:2] in ("RS", "PS")
        case ec.EllipticCurvePrivateKey():
            return alg[:2] == "ES"
        case ed25519.Ed25519PrivateKey():
            return alg in ("EdDSA", "Ed25519")


def _padding(alg: str, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if alg.startswith("RS"):
        return padding.PKCS1v15()
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
