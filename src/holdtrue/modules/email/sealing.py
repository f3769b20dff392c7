"""Seals the text of a mail while it waits: it may hold a link that opens an account."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from holdtrue.runtime import GiveUp


class Seal:
    """AES and HMAC under a key of ours (Fernet). The first key seals, every key opens."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._fernet = MultiFernet([Fernet(_key(key.get_secret_value())) for key in keys])

    def seal(self, mail_id: UUID, message: bytes) -> bytes:
        """Sealed together with the id, so that one mail's text cannot be put into another's row."""
        return self._fernet.encrypt(mail_id.bytes + message)

    def open(self, mail_id: UUID, sealed: bytes) -> bytes:
        """The message.

        Raises:
            GiveUp: it was sealed with a key that is gone, or for another mail.
        """
        try:
            opened = self._fernet.decrypt(sealed)
        except InvalidToken:
            raise GiveUp("the key that sealed this mail is not among EMAIL_SEAL_KEYS") from None
        if opened[:16] != mail_id.bytes:
            raise GiveUp("the sealed text is that of another mail")
        return opened[16:]


def _key(secret: str) -> bytes:
    return urlsafe_b64encode(sha256(b"holdtrue.email.seal:" + secret.encode()).digest())
