"""Mails: put into the outbox with the change that causes them, written out when they are sent.

No free text of anybody's reaches a mail, so nobody can have us carry theirs to a stranger.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from plainshop.models import MailJob
from plainshop.models.base import now
from plainshop.settings import Settings
from plainshop.tokens import Tokens
from plainshop.unit import Unit


def enqueue(unit: Unit, kind: str, subject_id: UUID, recipient: str, **params: str | int) -> None:
    """Once per kind and subject, however often it is asked for."""
    job = insert(MailJob).values(
        shop_id=unit.shop_id,
        kind=kind,
        dedupe_key=f"{kind}:{subject_id}",
        recipient=recipient,
        params=params,
        status="pending",
        attempts=0,
        due_at=now(),
    )
    unit.session.flush()
    unit.session.execute(job.on_conflict_do_nothing())


@dataclass(frozen=True, kw_only=True)
class Text:
    subject: str
    body: str


def write(job: MailJob, slug: str, settings: Settings, tokens: Tokens) -> Text:
    """Raises KeyError for an unknown kind or a missing parameter."""
    return WRITERS[job.kind](job, slug, settings, tokens)


def money(cents: int, currency: str) -> str:
    digits = 0 if currency == "jpy" else 2
    whole, rest = divmod(cents, 10**digits)
    return f"{whole}{f'.{rest:0{digits}d}' if digits else ''} {currency.upper()}"


def _welcome(job: MailJob, slug: str, settings: Settings, _: Tokens) -> Text:
    body = f"Your shop {slug} is open.\n\nSign in: {settings.link('/login')}\n"
    return Text(subject=f"Welcome: your shop {slug} is open", body=body)


def _invitation(job: MailJob, slug: str, settings: Settings, tokens: Tokens) -> Text:
    token = tokens.mailed("invitation", job.shop_id, UUID(job.params["invitation_id"]))
    body = (
        f"You are invited to join the shop {slug} as {job.params['role']}.\n\n"
        f"Accept within {settings.invitation_days} days: {settings.link('/accept')}?token={token}\n\n"
        "If you did not expect this, ignore it.\n"
    )
    return Text(subject=f"Invitation to the shop {slug}", body=body)


def _reset(job: MailJob, slug: str, settings: Settings, tokens: Tokens) -> Text:
    token = tokens.mailed("reset", job.shop_id, job.id)
    body = (
        f"Somebody asked to reset your password at the shop {slug}.\n\n"
        f"Choose a new one within {settings.reset_minutes} minutes: {settings.link('/reset')}?token={token}\n\n"
        "If it was not you, ignore this; your password stays as it is.\n"
    )
    return Text(subject="Reset your password", body=body)


def _receipt(job: MailJob, slug: str, settings: Settings, _: Tokens) -> Text:
    paid = money(job.params["amount_cents"], job.params["currency"])
    body = f"Thank you. The shop {slug} received {paid} for your order {job.params['order_id']}.\n"
    return Text(subject=f"Your receipt from {slug}", body=body)


WRITERS: dict[str, Callable[[MailJob, str, Settings, Tokens], Text]] = {
    "welcome": _welcome,
    "invitation": _invitation,
    "password_reset": _reset,
    "receipt": _receipt,
}
