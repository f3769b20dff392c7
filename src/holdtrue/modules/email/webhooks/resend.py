"""Resend (resend.com/docs/webhooks): ``data`` names the mail by its Message-ID, ``bounce.type`` is its own word."""

from __future__ import annotations

from email.utils import parseaddr

from pydantic import BaseModel, ValidationError

from holdtrue.modules.email.contract import Feedback
from holdtrue.modules.email.errors import EventRefused


class _Bounce(BaseModel):
    type: str = ""


class _Data(BaseModel):
    message_id: str = ""
    from_: str = ""
    bounce: _Bounce = _Bounce()

    model_config = {"alias_generator": lambda name: name.rstrip("_")}


class _Event(BaseModel):
    type: str
    data: _Data


def read(body: bytes, sender: str) -> Feedback | None:
    """None for what concerns no mail of this app: other types of events, and other senders of one account.

    Raises:
        EventRefused: it is not of Resend's shape.
    """
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        raise EventRefused("The event is not of the documented shape.") from None
    if parseaddr(event.data.from_)[1].lower() != sender.lower():
        return None
    message_id = event.data.message_id
    match event.type:
        case "email.delivered":
            return Feedback(kind="delivered", message_id=message_id)
        case "email.complained":
            return Feedback(kind="complained", message_id=message_id)
        case "email.bounced":
            return Feedback(kind="bounced", message_id=message_id, permanent=event.data.bounce.type == "Permanent")
        case "email.suppressed":
            # Resend will not send to it any more, so neither need we.
            return Feedback(kind="bounced", message_id=message_id, permanent=True)
        case "email.failed":
            return Feedback(kind="bounced", message_id=message_id)
    return None
