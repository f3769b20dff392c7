"""Sessions: opened, listed, ended. A session is the family of its refresh tokens; what ends it ends them all."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, select, update

from holdtrue.modules.auth.adapters.access_tokens import RESERVED, Claims
from holdtrue.modules.auth.contract import EXTRA_CLAIMS, SIGNED_OUT
from holdtrue.modules.auth.flows.signing_keys import signing_key
from holdtrue.modules.auth.flows.standing import enter_former
from holdtrue.modules.auth.models import RefreshToken, Session, User
from holdtrue.modules.auth.payloads import ExtraClaims, SignedOut
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Fault, NotFound, Unauthorized, UnitOfWork, flow


class TokenPair(BaseModel):
    """What a client gets: an access token for minutes, and what to renew it with."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  (the name of a scheme)
    expires_in: int
    refresh_token: str
    session_id: UUID
    user_id: UUID
    tenant: UUID | None
    scope: str | None


def new_token() -> str:
    """256 random bits; guessing one is not an attack, so a fast hash keeps it."""
    return secrets.token_urlsafe(32)


def hashed(token: str) -> bytes:
    """What is stored of a token, and compared."""
    return hashlib.sha256(token.encode()).digest()


async def open_session(unit: UnitOfWork, user: User, *, client_id: str, scope: str | None, agent: str) -> TokenPair:
    """A new family, for the tenant that this unit is in. Never one that somebody else began: nothing can be fixated."""
    now, settings = unit.now(), unit.port(AuthPorts).settings
    session = Session(
        user_id=user.id,
        client_id=client_id,
        tenant=unit.context.tenant,
        scope=scope,
        agent=agent[:200],
        generation=0,
        last_used_at=now,
        expires_at=now + timedelta(days=settings.session_days),
    )
    unit.session.add(session)
    await unit.session.flush()
    return await issue(unit, session, user.email, generation=0, scope=scope)


async def issue(unit: UnitOfWork, session: Session, email: str, *, generation: int, scope: str | None) -> TokenPair:
    """The tokens of one generation. ``scope`` may narrow the access token; the session keeps its own."""
    ports, refresh = unit.port(AuthPorts), new_token()
    idle = unit.now() + timedelta(days=ports.settings.idle_days)
    unit.session.add(
        RefreshToken(
            session_id=session.id,
            generation=generation,
            token_hash=hashed(refresh),
            expires_at=min(idle, session.expires_at),
        )
    )
    await unit.session.flush()
    asked = ExtraClaims(user_id=session.user_id, session_id=session.id, tenant=session.tenant, extra={})
    extra = (await unit.transform(EXTRA_CLAIMS, asked)).extra
    if taken := sorted(RESERVED & extra.keys()):
        raise Fault(
            "CLAIM_RESERVED",
            f"a binding of {EXTRA_CLAIMS.name} sets {', '.join(taken)}",
            why="Such claims decide who somebody is and what they may do; auth alone answers for them.",
            do='Choose another name, such as "https://shop.example/plan".',
        )
    claims = Claims(
        user_id=session.user_id,
        session_id=session.id,
        client_id=session.client_id,
        email=email,
        tenant=session.tenant,
        scope=scope,
    )
    return TokenPair(
        access_token=ports.tokens.issue(await signing_key(unit), claims, extra, unit.now()),
        expires_in=ports.tokens.lifetime,
        refresh_token=refresh,
        session_id=session.id,
        user_id=session.user_id,
        tenant=session.tenant,
        scope=scope,
    )


def live(now: datetime) -> ColumnElement[bool]:
    """Whether a session still stands."""
    return Session.revoked_at.is_(None) & (Session.expires_at > now)


async def require_live(unit: UnitOfWork) -> None:
    """Refuse an access token whose session was ended meanwhile.

    Raises:
        Unauthorized: it was. An API key is looked up at every request anyway.
    """
    principal = unit.context.principal
    if principal.kind != "user":
        return
    found = select(Session.id).where(
        Session.id == UUID(principal.session or ""), Session.user_id == UUID(principal.id), live(unit.now())
    )
    if await unit.session.scalar(found) is None:
        raise Unauthorized


async def sessions_of(unit: UnitOfWork, user_id: UUID) -> Sequence[Session]:
    """The sessions that stand, newest first."""
    standing = select(Session).where(Session.user_id == user_id, live(unit.now()))
    return (await unit.session.scalars(standing.order_by(Session.id.desc()).limit(200))).all()


@flow(emits=(SIGNED_OUT,))
async def end_session(unit: UnitOfWork, user_id: UUID, session_id: UUID) -> None:
    """End one of one's own sessions.

    Raises:
        NotFound: there is none such, it is somebody else's, or it has ended.
    """
    mine = select(Session).where(Session.id == session_id, Session.user_id == user_id, live(unit.now()))
    session = await unit.session.scalar(mine)
    if session is None:
        raise NotFound
    await _signed_out(unit, session.tenant, user_id, Session.id == session_id)


@flow(emits=(SIGNED_OUT,))
async def end_all_sessions(unit: UnitOfWork, user_id: UUID) -> None:
    """Sign out everywhere."""
    own = await unit.session.scalar(select(Session).where(Session.id == UUID(unit.context.principal.session or "")))
    await _signed_out(unit, own.tenant if own else None, user_id, Session.user_id == user_id)


@flow(emits=(SIGNED_OUT,))
async def sign_out(unit: UnitOfWork, token: str) -> None:
    """End the session of a refresh token, old or new (RFC 7009); quietly, where there is none."""
    family = select(RefreshToken.session_id).where(RefreshToken.token_hash == hashed(token)).scalar_subquery()
    session = await unit.session.scalar(select(Session).where(Session.id == family, live(unit.now())))
    if session is not None:
        await _signed_out(unit, session.tenant, session.user_id, Session.id == session.id)


async def _signed_out(unit: UnitOfWork, tenant: UUID | None, user_id: UUID, which: ColumnElement[bool]) -> None:
    await enter_former(unit, tenant)
    ended = await revoke(unit, which, why="sign_out")
    if ended:
        await unit.emit(SIGNED_OUT, SignedOut(user_id=user_id, sessions=tuple(ended)))


async def revoke(unit: UnitOfWork, which: ColumnElement[bool], *, why: str) -> list[UUID]:
    """End sessions that stand; which ones they were."""
    ended = update(Session).where(which, Session.revoked_at.is_(None)).values(revoked_at=unit.now(), revoked_for=why)
    return list(await unit.session.scalars(ended.returning(Session.id)))
