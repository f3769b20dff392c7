"""Mailed links: asked for by anybody, owed by what the worker finds, good once.

The request does the same whatever it is asked for: it writes down the address and wakes the worker. Who it is, and
which mail is owed, is found out where nobody can measure it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, select, update

from holdtrue.modules.auth.contract import SEND_LINK, SIGN_UP_ASKED
from holdtrue.modules.auth.errors import InvalidLink
from holdtrue.modules.auth.flows.limits import limit_mail_of_network, may_mail
from holdtrue.modules.auth.flows.sessions import hashed, new_token
from holdtrue.modules.auth.mails import CONFIRM_MAIL, KNOWN_MAIL, RESET_MAIL
from holdtrue.modules.auth.models import Link, User
from holdtrue.modules.auth.payloads import LinkAsked, LinkMail, Notice, SignUpAsked
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import UnitOfWork, Work, flow

Purpose = Literal["sign_up", "reset"]
_PATHS: dict[str, str] = {"sign_up": "/sign-up", "reset": "/reset"}


@flow()
async def ask_sign_up(unit: UnitOfWork, email: str) -> None:
    """Somebody wants to sign up.

    Raises:
        TooManyAttempts: from this network.
    """
    await unit.guard(SIGN_UP_ASKED, SignUpAsked(email=email, host=unit.context.host))
    await _ask(unit, "sign_up", email, unit.port(AuthPorts).settings.sign_up_minutes)


@flow()
async def ask_reset(unit: UnitOfWork, email: str) -> None:
    """Somebody forgot a password.

    Raises:
        TooManyAttempts: from this network.
    """
    await _ask(unit, "reset", email, unit.port(AuthPorts).settings.reset_minutes)


async def _ask(unit: UnitOfWork, purpose: Purpose, email: str, minutes: int) -> None:
    await limit_mail_of_network(unit)
    if not await may_mail(unit, email):
        return
    link = Link(purpose=purpose, email=email, expires_at=unit.now() + timedelta(minutes=minutes))
    unit.session.add(link)
    await unit.enqueue(SEND_LINK, LinkAsked(link_id=link.id))


async def send_link(work: Work, asked: LinkAsked) -> None:
    """Mail what is owed to the address, if anything is."""
    settings = work.port(AuthPorts).settings
    async with work.finish() as unit:
        link = await unit.session.get(Link, asked.link_id, with_for_update=True)
        if link is None or link.token_hash is not None or link.expires_at <= unit.now():
            return
        known = await unit.session.scalar(select(User.id).where(User.email == link.email)) is not None
        if link.purpose == "sign_up" and known:
            await unit.mail(KNOWN_MAIL, to=link.email, payload=notice(unit))
            await unit.session.delete(link)
        elif link.purpose == "reset" and not known:
            await unit.session.delete(link)
        else:
            token = new_token()
            link.token_hash = hashed(token)
            payload = LinkMail(
                link=f"{settings.public_url}{_PATHS[link.purpose]}#token={token}",
                minutes=settings.reset_minutes if link.purpose == "reset" else settings.sign_up_minutes,
                site=_site(unit),
            )
            await unit.mail(RESET_MAIL if link.purpose == "reset" else CONFIRM_MAIL, to=link.email, payload=payload)


def notice(unit: UnitOfWork) -> Notice:
    """A mail that tells, and says where to go."""
    return Notice(link=f"{unit.port(AuthPorts).settings.public_url}/forgot", site=_site(unit))


async def look_at(unit: UnitOfWork, purpose: Purpose, token: str) -> str:
    """The address that a link belongs to, so that no password is hashed for a link that is none.

    Raises:
        InvalidLink: unknown, used or expired.
    """
    email: str | None = await unit.session.scalar(select(Link.email).where(*_good(unit, purpose, token)))
    if email is None:
        raise InvalidLink
    return email


async def use(unit: UnitOfWork, purpose: Purpose, token: str) -> str:
    """Use a link up, and with it all others of its address and purpose.

    Raises:
        InvalidLink: unknown, used or expired; of two at once, the second.
    """
    now = unit.now()
    used = update(Link).where(*_good(unit, purpose, token)).values(used_at=now).returning(Link.email)
    email: str | None = await unit.session.scalar(used)
    if email is None:
        raise InvalidLink
    others = update(Link).where(Link.email == email, Link.purpose == purpose, Link.used_at.is_(None))
    await unit.session.execute(others.values(used_at=now))
    return email


def _good(unit: UnitOfWork, purpose: Purpose, token: str) -> tuple[ColumnElement[bool], ...]:
    """The address of a link is never taken from the request, and neither is where it leads."""
    return (
        Link.token_hash == hashed(token),
        Link.purpose == purpose,
        Link.used_at.is_(None),
        Link.expires_at > unit.now(),
    )


def _site(unit: UnitOfWork) -> str:
    return urlsplit(unit.port(AuthPorts).settings.public_url).netloc
