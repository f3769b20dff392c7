"""Mails: put into the outbox with the change that causes them, written out when they are sent.

Of what people write, only the names of shops and of persons reach a mail: one line each, never in a header.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.dialects.postgresql import insert

from plainshop.models import MailJob
from plainshop.models.base import now
from plainshop.settings import Settings
from plainshop.tokens import Tokens
from plainshop.unit import Unit

_templates = Environment(loader=PackageLoader("plainshop"), autoescape=True, undefined=StrictUndefined)
HTML = _templates.get_template("mail.html")


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
class Reader:
    """To whom a mail goes, and for which shop. `name` is None for somebody who is no member (yet)."""

    shop: str
    slug: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Text:
    """The subject holds no free text: it is a header."""

    subject: str
    paragraphs: list[str]
    link: str | None = None
    end: str | None = None


@dataclass(frozen=True, kw_only=True)
class Written:
    subject: str
    plain: str
    html: str


def write(job: MailJob, reader: Reader, settings: Settings, tokens: Tokens) -> Written:
    """Raises KeyError for an unknown kind or a missing parameter."""
    text = WRITERS[job.kind](job, reader, settings, tokens)
    greeting = f"Hello {reader.name}," if reader.name else "Hello,"
    parts = [greeting, *text.paragraphs, text.link, text.end]
    plain = "\n\n".join(part for part in parts if part) + "\n"
    return Written(subject=text.subject, plain=plain, html=HTML.render(greeting=greeting, text=text))


def money(cents: int, currency: str) -> str:
    digits = 0 if currency == "jpy" else 2
    whole, rest = divmod(cents, 10**digits)
    return f"{whole}{f'.{rest:0{digits}d}' if digits else ''} {currency.upper()}"


def _welcome(job: MailJob, reader: Reader, settings: Settings, _: Tokens) -> Text:
    return Text(
        subject=f"Welcome: your shop {reader.slug} is open",
        paragraphs=[f"Your shop {reader.shop} is open.", f"Sign in as a member of {reader.slug}:"],
        link=settings.link("/login"),
    )


def _invitation(job: MailJob, reader: Reader, settings: Settings, tokens: Tokens) -> Text:
    token = tokens.mailed("invitation", job.shop_id, UUID(job.params["invitation_id"]))
    return Text(
        subject=f"Invitation to the shop {reader.slug}",
        paragraphs=[
            f"You are invited to join the shop {reader.shop} as {job.params['role']}.",
            f"Accept within {settings.invitation_days} days:",
        ],
        link=f"{settings.link('/accept')}?token={token}",
        end="If you did not expect this, ignore it.",
    )


def _reset(job: MailJob, reader: Reader, settings: Settings, tokens: Tokens) -> Text:
    token = tokens.mailed("reset", job.shop_id, job.id)
    return Text(
        subject="Reset your password",
        paragraphs=[
            f"Somebody asked to reset your password at the shop {reader.shop}.",
            f"Choose a new one within {settings.reset_minutes} minutes:",
        ],
        link=f"{settings.link('/reset')}?token={token}",
        end="If it was not you, ignore this; your password stays as it is.",
    )


def _receipt(job: MailJob, reader: Reader, settings: Settings, _: Tokens) -> Text:
    paid = money(job.params["amount_cents"], job.params["currency"])
    return Text(
        subject=f"Your receipt from {reader.slug}",
        paragraphs=[f"Thank you. The shop {reader.shop} received {paid} for your order {job.params['order_id']}."],
    )


WRITERS: dict[str, Callable[[MailJob, Reader, Settings, Tokens], Text]] = {
    "welcome": _welcome,
    "invitation": _invitation,
    "password_reset": _reset,
    "receipt": _receipt,
}
