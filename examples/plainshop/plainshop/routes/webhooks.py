import logging
import time
from typing import Annotated

import stripe
from fastapi import APIRouter, Depends, Header, Request
from pydantic import SecretStr, ValidationError

from plainshop.context import Context, request_context
from plainshop.errors import Conflict, Refusal, Unavailable
from plainshop.events import StripeMessage, UnknownObject, apply_event
from plainshop.routes.slots import inbox_slot

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
log = logging.getLogger(__name__)
TOLERANCE = 300


async def raw_body(request: Request) -> bytes:
    """The bytes as they came: the signature is over them and nothing else."""
    return await request.body()


@router.post("/stripe", dependencies=[inbox_slot])
def stripe_event(
    body: Annotated[bytes, Depends(raw_body)],
    context: Annotated[Context, Depends(request_context)],
    signature: Annotated[str, Header(alias="Stripe-Signature")] = "",
) -> dict[str, str]:
    """Answers 2xx only after the commit; whatever else happens, Stripe is to send the event again."""
    if not authentic(body, signature, context.settings.stripe_webhook_secrets):
        raise Refusal("The signature is not valid.")
    try:
        message = StripeMessage.model_validate_json(body)
        live = context.settings.live
        outcome = apply_event(context.database, context.stripe, message, live=live, request_id=context.request_id)
    except ValidationError as error:
        log.warning("a signed Stripe event has an unexpected shape: %s", error.errors(include_input=False))
        raise Refusal("The event has an unexpected shape.") from error
    except UnknownObject as error:
        raise Conflict("The event is about something not known here yet.") from error
    except stripe.StripeError as error:
        log.warning("Stripe was not to be asked about %s: %s", message.id, type(error).__name__)
        raise Unavailable from error
    return {"outcome": outcome}


def authentic(body: bytes, header: str, secrets: tuple[SecretStr, ...]) -> bool:
    """Signed with one of the secrets (two while one is being replaced), not long ago and not in the future."""
    if not header.isascii():
        return False
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret.get_secret_value(), TOLERANCE)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        signed_at = int(next(part for part in header.split(",") if part.startswith("t="))[2:])
        return signed_at <= time.time() + TOLERANCE
    return False
