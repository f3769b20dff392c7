"""From a template and its payload to the bytes of a mail, once and for all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, SecretBytes, SecretStr

from holdtrue.contract import MailTemplate
from holdtrue.modules.email.addresses import Address
from holdtrue.runtime import Fault

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a person reads."""

    subject: str
    text: str
    html: str | None


@lru_cache(maxsize=1)
def _environments() -> tuple[Environment, Environment]:
    """For plain text, and for HTML: there a name is text, whatever it looks like."""
    plain = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    return plain, Environment(undefined=StrictUndefined, autoescape=True, keep_trailing_newline=True)


@lru_cache(maxsize=1024)
def _compiled(source: str, html: bool) -> jinja2.Template:
    return _environments()[html].from_string(source)


def render(template: MailTemplate, payload: BaseModel) -> Rendered:
    """Fill in a template. Fields typed ``SecretStr`` are shown here and nowhere else.

    Raises:
        Fault: MAIL_TEMPLATE_BROKEN.
    """
    values = {name: _shown(getattr(payload, name)) for name in type(payload).model_fields}
    try:
        subject = _compiled(template.subject, False).render(values)
        return Rendered(
            # One line, whatever is in it: a header cannot be injected through a name.
            subject=" ".join(_CONTROL.sub(" ", subject).split()),
            text=_compiled(template.text, False).render(values),
            html=None if template.html is None else _compiled(template.html, True).render(values),
        )
    except jinja2.TemplateError as error:
        raise Fault(
            "MAIL_TEMPLATE_BROKEN",
            f"{template.name} cannot be rendered: {error.message or type(error).__name__}",
            why="Whatever owes this mail would fail.",
            do=f"Its payload has the fields {', '.join(type(payload).model_fields) or 'none'}.",
        ) from None


def _shown(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value


def message(
    rendered: Rendered,
    *,
    sender: tuple[str, Address],
    to: Address,
    message_id: str,
    now: datetime,
    extra: dict[str, str] | None = None,
) -> bytes:
    """The mail as it is sent, in every attempt the same (RFC 5322; RFC 3834 for Auto-Submitted)."""
    name, address = sender
    mail = EmailMessage(policy=SMTP)
    mail["From"] = HeaderAddress(display_name=name, username=address.local, domain=address.domain)
    mail["To"] = HeaderAddress(username=to.local, domain=to.domain)
    mail["Subject"] = rendered.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    for header, value in (extra or {}).items():
        mail[header] = value
    # Quoted-printable: no line is too long for any server on the way, and no link is folded.
    mail.set_content(rendered.text, cte="quoted-printable")
    if rendered.html is not None:
        mail.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    return mail.as_bytes()
