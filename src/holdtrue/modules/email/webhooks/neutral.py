"""Our own shape: what a small relay in front of any other provider sends."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from holdtrue.modules.email.contract import Feedback
from holdtrue.modules.email.errors import EventRefused


class _Event(BaseModel):
    type: Literal["delivered", "bounced", "complained"]
    message_id: str = Field(min_length=3, max_length=998)
    permanent: bool = False
    """Of a bounce: whether the mailbox will never take mail."""


def read(body: bytes) -> Feedback:
    """``{"type": "bounced", "message_id": "<…>", "permanent": true}``.

    Raises:
        EventRefused: it is not of that shape.
    """
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        raise EventRefused("The event is not of the documented shape.") from None
    return Feedback(kind=event.type, message_id=event.message_id, permanent=event.permanent)
