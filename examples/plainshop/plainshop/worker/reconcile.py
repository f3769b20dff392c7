"""What webhooks were lost: ask Stripe for the events of the last days and apply those that are missing."""

import logging
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import stripe
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from plainshop.db import Database
from plainshop.events import StripeMessage, UnknownObject, apply_event
from plainshop.models.base import now
from plainshop.settings import Settings
from plainshop.stripe_api import StripeApi

log = logging.getLogger(__name__)


def reconcile(database: Database, settings: Settings, api: StripeApi, *, days: int) -> Counter[str]:
    """How many events were applied, ignored, duplicate or failed. One that fails stops no other."""
    outcomes: Counter[str] = Counter()
    run = f"reconcile-{uuid4()}"
    newest_first = list(api.events_since(now() - timedelta(days=days)))
    for event in reversed(newest_first):
        try:
            message = StripeMessage.model_validate(event)
            outcome: str = apply_event(database, api, message, live=settings.live, request_id=run)
        except (UnknownObject, ValidationError, DBAPIError, stripe.StripeError) as error:
            log.warning("event %s (%s) was not applied: %s", event.get("id"), event.get("type"), type(error).__name__)
            outcome = "failed"
        outcomes[outcome] += 1
    return outcomes
