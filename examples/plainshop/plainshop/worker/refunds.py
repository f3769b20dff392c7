import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import stripe
from sqlalchemy import select

from plainshop.balance import advance_refund, balance_of, locked_order
from plainshop.db import Database
from plainshop.models import Payment, Refund
from plainshop.models.base import now
from plainshop.settings import Settings
from plainshop.stripe_api import ProviderRefund, StripeApi
from plainshop.unit import WORKER, Unit, work
from plainshop.worker.loops import next_attempt

log = logging.getLogger(__name__)
# Stripe forgets idempotency keys after 24 hours at the earliest; well before that we look first.
KEY_TRUSTED_FOR = timedelta(hours=12)


def send_next_refund(database: Database, settings: Settings, api: StripeApi) -> bool:
    """Claim one due refund, send it outside any transaction, note the answer. False when none is due."""
    refund = _claim(database, settings)
    if refund is None:
        return False
    intent = _intent_to_refund(database, refund)
    if intent is None:
        return True
    try:
        made = _send(api, refund, intent)
    except (stripe.InvalidRequestError, stripe.CardError) as error:
        # A definite no: the refund does not exist.
        _settle(database, refund, "failed", error.code or type(error).__name__)
    except stripe.StripeError as error:
        _try_again(database, settings, refund, error.code or type(error).__name__)
    except Exception as error:  # the item's edge: one nobody foresaw must not stop the others
        log.exception("refund %s failed in an unforeseen way", refund.id)
        _try_again(database, settings, refund, type(error).__name__)
    else:
        with _own(database, refund) as (unit, row):
            advance_refund(unit, row, made.id, made.status)
    return True


def _claim(database: Database, settings: Settings) -> Refund | None:
    due = (Refund.status == "queued") & (Refund.due_at <= now())
    first = select(Refund).where(due).order_by(Refund.due_at).limit(1)
    with database.system() as session:
        refund = session.scalar(first.with_for_update(skip_locked=True))
        if refund is None:
            return None
        refund.attempts += 1
        refund.due_at = now() + timedelta(seconds=settings.worker_lease_seconds)
        session.flush()
        session.expunge(refund)
        return refund


def _intent_to_refund(database: Database, refund: Refund) -> str | None:
    """The payment intent; None when the refund must not be sent, because the money is contested."""
    with _own(database, refund) as (unit, row):
        payment = unit.session.get_one(Payment, (row.shop_id, row.payment_id))
        # One that was sent before may have reached Stripe, however often it was requeued; the same key will tell.
        if row.first_sent_at is None and balance_of(unit.session, payment).disputed:
            _fail(unit, row, "failed", "disputed")
            return None
        # Committed before it is sent, and never taken back: only what is noted here can have been made.
        row.first_sent_at = row.first_sent_at or now()
        return payment.stripe_payment_intent


def _send(api: StripeApi, refund: Refund, intent: str) -> ProviderRefund:
    if refund.first_sent_at and now() - refund.first_sent_at > KEY_TRUSTED_FOR:
        made = api.find_refund(refund_id=refund.id, payment_intent=intent)
        if made:
            return made
    return api.refund(refund_id=refund.id, payment_intent=intent, amount_cents=refund.amount_cents)


def _try_again(database: Database, settings: Settings, refund: Refund, error: str) -> None:
    if refund.attempts >= settings.worker_max_attempts:
        _settle(database, refund, "dead", error)
        return
    log.warning("refund %s: attempt %d failed: %s", refund.id, refund.attempts, error)
    with _own(database, refund) as (_, row):
        if row.attempts == refund.attempts and row.status == "queued":
            row.due_at = next_attempt(settings, refund.attempts)
            row.last_error = error


def _settle(database: Database, refund: Refund, status: str, error: str) -> None:
    with _own(database, refund) as (unit, row):
        if row.attempts == refund.attempts and row.status == "queued":
            _fail(unit, row, status, error)


def _fail(unit: Unit, row: Refund, status: str, error: str) -> None:
    log.error("refund %s is %s: %s", row.id, status, error)
    row.status = status
    row.last_error = error
    unit.record(f"refund.{status}", "refund", row.id, order_id=str(row.order_id), reason=error)


@contextmanager
def _own(database: Database, refund: Refund) -> Iterator[tuple[Unit, Refund]]:
    """The refund under the lock of its order."""
    with work(database, refund.shop_id, WORKER, f"refund-{refund.id}") as unit:
        locked_order(unit, refund.order_id)
        yield unit, unit.session.get_one(Refund, (refund.shop_id, refund.id), populate_existing=True)
