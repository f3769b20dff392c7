"""Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over id, time and the raw body; Svix, and so Resend, alike."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from pydantic import SecretStr

from holdtrue.modules.email.errors import SignatureRefused

TOLERANCE = 300
"""Seconds that a delivery may be old, or ahead of our clock."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIME = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, kw_only=True)
class Signed:
    """The three headers."""

    id: str
    timestamp: str
    signatures: str
    """Several, separated by spaces, while a secret is being replaced: ``v1,…``."""


def verify(secrets: Sequence[SecretStr], signed: Signed, body: bytes, now: datetime) -> str:
    """Return the delivery's id, the same in every redelivery.

    Raises:
        SignatureRefused: none of our secrets signed this, or not now.
    """
    if not _ID.fullmatch(signed.id) or not _TIME.fullmatch(signed.timestamp):
        raise SignatureRefused("The signature's headers are missing or malformed.")
    content = f"{signed.id}.{signed.timestamp}.".encode() + body
    given = [entry.removeprefix("v1,") for entry in signed.signatures.split() if entry.startswith("v1,")]
    matches = [
        hmac.compare_digest(sign(secret.get_secret_value(), content).encode(), each.encode())
        for secret in secrets
        for each in given
    ]
    if not any(matches):
        raise SignatureRefused("The signature is not valid.")
    if abs(now.timestamp() - int(signed.timestamp)) > TOLERANCE:
        raise SignatureRefused("The signature is too old, or from the future.")
    return signed.id


def sign(secret: str, content: bytes) -> str:
    """The signature in base64."""
    return b64encode(hmac.new(_key(secret), content, sha256).digest()).decode()


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except Base64Error:
        return secret.encode()
