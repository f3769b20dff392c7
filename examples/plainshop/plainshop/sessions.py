"""Sign-ins and their refresh tokens."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update

from plainshop.context import Context
from plainshop.models import LoginSession, Member, RefreshToken
from plainshop.models.base import now
from plainshop.permissions import ROLES
from plainshop.tokens import Claims, new_refresh_token, refresh_hash
from plainshop.unit import Unit


@dataclass(frozen=True, kw_only=True)
class TokenPair:
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"


def open_session(unit: Unit, context: Context, member_id: UUID) -> TokenPair:
    expired = delete(LoginSession).where(
        LoginSession.shop_id == unit.shop_id, LoginSession.member_id == member_id, LoginSession.expires_at < now()
    )
    unit.session.execute(expired)
    ends = now() + timedelta(days=context.settings.session_days)
    login = LoginSession(shop_id=unit.shop_id, id=uuid4(), member_id=member_id, expires_at=ends)
    unit.session.add(login)
    return _issue(unit, context, login)


def rotate(unit: Unit, context: Context, token: str) -> TokenPair | None:
    """A new pair for a refresh token, once. A second use revokes the whole family: one of the two users is a thief.

    The revocation must be committed although the caller is refused, so this returns None instead of raising.
    """
    login = _family(unit, token)
    if login is None:
        return None
    used = update(RefreshToken).where(
        RefreshToken.shop_id == unit.shop_id,
        RefreshToken.token_hash == refresh_hash(token),
        RefreshToken.used_at.is_(None),
    )
    if login.revoked_at is not None or login.expires_at <= now():
        return None
    if unit.session.scalar(used.values(used_at=now()).returning(RefreshToken.id)) is None:
        login.revoked_at = now()
        unit.record("auth.refresh_reused", "session", login.id, outcome="denied")
        return None
    unit.record("auth.refreshed", "session", login.id)
    return _issue(unit, context, login)


def close_session(unit: Unit, token: str) -> None:
    login = _family(unit, token)
    if login is not None and login.revoked_at is None:
        login.revoked_at = now()
        unit.record("auth.logged_out", "session", login.id)


def revoke_all(unit: Unit, member_id: UUID) -> None:
    live = update(LoginSession).where(
        LoginSession.shop_id == unit.shop_id, LoginSession.member_id == member_id, LoginSession.revoked_at.is_(None)
    )
    unit.session.execute(live.values(revoked_at=now()))


def _family(unit: Unit, token: str) -> LoginSession | None:
    """The session a refresh token descends from, locked: its rotations, reuse and revocation go one after another."""
    session_id = (
        select(RefreshToken.session_id)
        .where(RefreshToken.shop_id == unit.shop_id, RefreshToken.token_hash == refresh_hash(token))
        .scalar_subquery()
    )
    return unit.session.scalar(
        select(LoginSession)
        .where(LoginSession.shop_id == unit.shop_id, LoginSession.id == session_id)
        .with_for_update()
    )


def _issue(unit: Unit, context: Context, login: LoginSession) -> TokenPair:
    refresh = new_refresh_token(unit.shop_id)
    row = RefreshToken(shop_id=unit.shop_id, session_id=login.id, token_hash=refresh_hash(refresh))
    unit.session.add(row)
    whose = select(Member.role).where(Member.shop_id == unit.shop_id, Member.id == login.member_id)
    scope = ROLES[unit.session.execute(whose).scalar_one()]
    claims = Claims(shop_id=unit.shop_id, member_id=login.member_id, session_id=login.id, scope=scope)
    return TokenPair(
        access_token=context.tokens.access(claims), refresh_token=refresh, expires_in=context.tokens.lifetime
    )
