"""Idempotency keys: the first answer is kept for a day, failures too.

https://docs.stripe.com/api/idempotent_requests
"""

from dataclasses import dataclass, field
from typing import Any

from holdtrue.stage.payments import errors

_KEPT_SECONDS = 24 * 3600
_MAX_LENGTH = 255


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a key remembers: the request it belongs to, and the answer that every repetition gets."""

    endpoint: str
    parameters: dict[str, Any] = field(repr=False)
    status: int
    body: bytes = field(repr=False)
    request_id: str
    at: int


class IdempotencyKeys:
    """Keys by account. A key is taken by `begin`, and given back by `keep` or `release`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Kept] = {}
        self._open: set[tuple[str, str]] = set()

    def begin(self, account: str, key: str, endpoint: str, parameters: dict[str, Any], now: int) -> Kept | None:
        """The answer to repeat, or None when this request is the first and now holds the key.

        Raises:
            StripeError: the key is held by a request still under way, or belongs to other parameters.
        """
        if len(key) > _MAX_LENGTH:
            raise errors.invalid(f"Idempotency keys may be at most {_MAX_LENGTH} characters long.")
        name = (account, key)
        if name in self._open:
            raise errors.key_in_use(key)
        kept = self.kept.get(name)
        if kept is None or kept.at <= now - _KEPT_SECONDS:
            self._open.add(name)
            return None
        if kept.endpoint != endpoint:
            raise errors.key_of_another_endpoint(key, endpoint, kept.endpoint)
        if kept.parameters != parameters:
            raise errors.key_reused(key)
        return kept

    def keep(self, account: str, key: str, kept: Kept) -> None:
        """Remember the answer and give the key back."""
        self._open.discard((account, key))
        self.kept[account, key] = kept

    def release(self, account: str, key: str) -> None:
        """Give the key back without remembering anything."""
        self._open.discard((account, key))
