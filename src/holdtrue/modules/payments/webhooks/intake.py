"""Taking a webhook in: verified over every active secret, ours, and in the inbox before it is answered.

Nothing of what it says is believed but that something happened to an object: the worker reads the object again.
"""

from __future__ import annotations

import logging

import stripe
from pydantic import ValidationError

from holdtrue.modules.payments.contract import NOTICE
from holdtrue.modules.payments.errors import NotOurs, NotSigned
from holdtrue.modules.payments.payloads import Notice
from holdtrue.modules.payments.ports import Event
from holdtrue.modules.payments.settings import PaymentsSettings
from holdtrue.modules.payments.webhooks.handlers import HANDLERS
from holdtrue.runtime import UnitOfWork

log = logging.getLogger(__name__)


def verified(body: bytes, header: str, settings: PaymentsSettings, now: float) -> Event:
    """The event, if the provider signed these bytes within the tolerance, for this account and mode.

    https://docs.stripe.com/webhooks#verify-manually

    Raises:
        NotSigned: it did not, or not now.
        NotOurs: it is of a connected account, or of the other mode.
    """
    secrets = [secret.get_secret_value() for secret in settings.stripe_webhook_secrets]
    if not any(_signed(body, header, secret) for secret in secrets):
        raise NotSigned("No valid signature.")
    # The SDK bounds the age only, and by a clock of its own; and accepts what was signed in the future.
    if abs(now - _signed_at(header)) > settings.webhook_tolerance_seconds:
        raise NotSigned("Signed too long ago, or in the future.")
    try:
        event = Event.model_validate_json(body)
    except ValidationError as error:
        raise NotSigned("Signed, and no event.") from error
    if event.livemode != settings.live or event.account is not None:
        log.error("a rightly signed event is not ours: its endpoint is set up for another mode or for accounts")
        raise NotOurs("This endpoint takes no events of that account or mode.")
    return event


async def take_in(unit: UnitOfWork, event: Event, *, live: bool) -> bool:
    """Keep it for the worker; False when it is known, or none that we listen to."""
    object_id = event.data.object.id
    if event.type not in HANDLERS or object_id is None:
        return False
    key = f"stripe:{'live' if live else 'test'}:{event.id}"
    return await unit.receive(NOTICE, Notice(type=event.type, object_id=object_id), key=key)


def _signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False


def _signed_at(header: str) -> float:
    """Of a header that was verified, so it has exactly what verification used: its first ``t``."""
    return float(next(part.partition("=")[2] for part in header.split(",") if part.startswith("t=")))
