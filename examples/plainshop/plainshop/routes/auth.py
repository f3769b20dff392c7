"""Sign-in, refresh, sign-out and the way back in."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from sqlalchemy import select, update

from plainshop.access import Gate, signed_in
from plainshop.context import Context, request_context
from plainshop.errors import Refusal, TooMany, Unauthorized
from plainshop.fields import Body, Email, NewPassword, Password, Slug, Token
from plainshop.limits import within_limit
from plainshop.mail import enqueue
from plainshop.models import Member, PasswordReset, Shop
from plainshop.models.base import now
from plainshop.passwords import hash_password, verify_password
from plainshop.routes.slots import hashing_slot
from plainshop.sessions import TokenPair, close_session, open_session, revoke_all, rotate
from plainshop.tokens import shop_of_refresh_token
from plainshop.unit import Unit

router = APIRouter(prefix="/auth", tags=["auth"])
InContext = Annotated[Context, Depends(request_context)]
WRONG = "Shop, e-mail or password is wrong."


class Login(Body):
    shop: Slug
    email: Email
    password: Password


class Refresh(Body):
    refresh_token: Token


class Forgot(Body):
    shop: Slug
    email: Email


class Reset(Body):
    token: Token
    password: NewPassword


class PasswordChange(Body):
    current: Password
    new: NewPassword


@router.post("/login", dependencies=[hashing_slot])
def login(body: Login, context: InContext) -> TokenPair:
    minutely = context.settings.login_limit_per_minute
    with context.database.plain() as session:
        allowed = within_limit(session, f"login:{body.shop}:{body.email}", minutely, timedelta(minutes=1))
        shop_id = session.scalar(select(Shop.id).where(Shop.slug == body.shop)) or uuid4()
    if not allowed:
        raise TooMany("Too many attempts; wait a minute.", headers={"Retry-After": "60"})
    with context.public_work(shop_id) as unit:
        who = select(Member.id, Member.password_hash).where(Member.shop_id == shop_id, Member.email == body.email)
        found = unit.session.execute(who).one_or_none()
    if not verify_password(found.password_hash if found else None, body.password) or found is None:
        raise Unauthorized(WRONG)
    with context.public_work(shop_id) as unit:
        # The password may have been changed, or the member removed, while we were hashing.
        still = select(Member.password_hash).where(Member.shop_id == shop_id, Member.id == found.id)
        if unit.session.scalar(still.with_for_update(read=True)) != found.password_hash:
            raise Unauthorized(WRONG)
        unit.record("auth.logged_in", "member", found.id)
        return open_session(unit, context, found.id)


@router.post("/refresh")
def refresh(body: Refresh, context: InContext) -> TokenPair:
    shop_id = shop_of_refresh_token(body.refresh_token)
    if shop_id is None:
        raise Unauthorized
    with context.public_work(shop_id) as unit:
        pair = rotate(unit, context, body.refresh_token)
    if pair is None:
        raise Unauthorized
    return pair


@router.post("/logout", status_code=204)
def logout(body: Refresh, context: InContext) -> Response:
    shop_id = shop_of_refresh_token(body.refresh_token)
    if shop_id is not None:
        with context.public_work(shop_id) as unit:
            close_session(unit, body.refresh_token)
    return Response(status_code=204)


@router.post("/forgot", status_code=202)
def forgot(body: Forgot, context: InContext) -> dict[str, str]:
    """The same answer and the same statements whether or not there is such a member: the worker finds that out."""
    with context.database.plain() as session:
        hourly = context.settings.mail_limit_per_hour
        allowed = within_limit(session, f"mail:{body.email}", hourly, timedelta(hours=1))
        shop_id = session.scalar(select(Shop.id).where(Shop.slug == body.shop))
    if allowed and shop_id:
        with context.public_work(shop_id) as unit:
            request_id = uuid4()
            unit.record("auth.reset_requested", "reset", request_id)
            enqueue(unit, "password_reset", request_id, body.email)
    return {"detail": "If there is such an account, a mail is on its way."}


@router.post("/reset", status_code=204, dependencies=[hashing_slot])
def reset(body: Reset, context: InContext) -> Response:
    refused = Refusal("This link is not valid, or no longer.")
    where = context.tokens.read_mailed("reset", body.token)
    if where is None:
        raise refused
    shop_id, reset_id = where
    password_hash = hash_password(body.password)
    with context.public_work(shop_id) as unit:
        mine = (PasswordReset.shop_id == shop_id) & PasswordReset.used_at.is_(None)
        used = update(PasswordReset).where(mine, PasswordReset.id == reset_id, PasswordReset.expires_at > now())
        member_id = unit.session.scalar(used.values(used_at=now()).returning(PasswordReset.member_id))
        if member_id is None:
            raise refused
        _set_password(unit, member_id, password_hash)
        unit.record("auth.password_reset", "member", member_id)
    return Response(status_code=204)


@router.post("/password", status_code=204, dependencies=[hashing_slot])
def change_password(body: PasswordChange, gate: Annotated[Gate, Depends(signed_in)]) -> Response:
    """Ends all sessions, the caller's too."""
    wrong = Refusal("The current password is wrong.")
    minutely = gate.context.settings.login_limit_per_minute
    with gate.enter() as unit:
        allowed = within_limit(unit.session, f"password:{gate.member_id}", minutely, timedelta(minutes=1))
        stored = select(Member.password_hash).where(Member.shop_id == unit.shop_id, Member.id == gate.member_id)
        known = unit.session.scalar(stored)
    if not allowed:
        raise TooMany("Too many attempts; wait a minute.", headers={"Retry-After": "60"})
    if not verify_password(known, body.current):
        raise wrong
    password_hash = hash_password(body.new)
    with gate.enter() as unit:
        # Changed by another request while we were hashing?
        if unit.session.scalar(stored.with_for_update()) != known:
            raise wrong
        _set_password(unit, gate.member_id, password_hash)
        unit.record("auth.password_changed", "member", gate.member_id)
    return Response(status_code=204)


def _set_password(unit: Unit, member_id: UUID, password_hash: str) -> None:
    """With the old password go the sessions it opened and the links that could replace it."""
    resets = update(PasswordReset).where(
        PasswordReset.shop_id == unit.shop_id, PasswordReset.member_id == member_id, PasswordReset.used_at.is_(None)
    )
    unit.session.execute(resets.values(used_at=now()))
    whose = update(Member).where(Member.shop_id == unit.shop_id, Member.id == member_id)
    unit.session.execute(whose.values(password_hash=password_hash))
    revoke_all(unit, member_id)
