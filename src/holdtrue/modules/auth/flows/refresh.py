"""Refresh: an exchanged token works once, and a lost answer can be asked for again for a few seconds.

One statement decides who exchanges a token. Who comes second gets the very same answer again, if it is the same client
asking for the same thing within the grace window, and the token is the one that the newest was exchanged for.
Everything else that was exchanged before is a sign of theft: the session ends, and its end is committed before the
caller is refused (RFC 9700, 2.2.2 and 4.14.2; ASVS 5.0, 10.4.5).
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update

from holdtrue.modules.auth.contract import REFRESH_TOKEN_REUSED
from holdtrue.modules.auth.errors import InvalidGrant, InvalidScope, NotAMember
from holdtrue.modules.auth.flows.sessions import TokenPair, hashed, issue, live, revoke
from holdtrue.modules.auth.flows.standing import enter_confirmed, enter_former
from holdtrue.modules.auth.models import RefreshToken, Session, User
from holdtrue.modules.auth.payloads import RefreshTokenReused
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Principal, UnitOfWork, flow

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a client asks for."""

    token: str
    client_id: str
    scope: str | None
    """Narrower than the session's, or None for the same."""


@flow(emits=(REFRESH_TOKEN_REUSED,))
async def refresh(unit: UnitOfWork, asked: Asked) -> TokenPair:
    """New tokens for a refresh token.

    Raises:
        InvalidGrant: it is good for nothing; after a reuse the session is ended, which is kept.
        InvalidScope: more than the session has.
    """
    now = unit.now()
    won = (
        update(RefreshToken)
        .where(
            RefreshToken.token_hash == hashed(asked.token),
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > now,
            Session.id == RefreshToken.session_id,
            Session.client_id == asked.client_id,
            live(now),
        )
        .values(used_at=now)
        .returning(RefreshToken.id, RefreshToken.session_id, RefreshToken.generation)
        .execution_options(synchronize_session=False)
    )
    row = (await unit.session.execute(won)).one_or_none()
    if row is None:
        return await _second(unit, asked)
    # Only now, under the lock of the family: somebody may have ended it since the statement above looked.
    advanced = (
        update(Session)
        .where(Session.id == row.session_id, live(now), Session.generation == row.generation)
        .values(generation=row.generation + 1, last_used_at=now)
        .returning(Session)
        .execution_options(populate_existing=True)
    )
    session = await unit.session.scalar(advanced)
    if session is None:
        raise InvalidGrant
    scope = _narrowed(session.scope, asked.scope)
    await _confirm(unit, session)
    email = await unit.session.scalar(select(User.email).where(User.id == session.user_id))
    pair = await issue(unit, session, email or "", generation=row.generation + 1, scope=scope)
    sealed = unit.port(AuthPorts).sealer.seal(_purpose(asked), pair.model_dump_json())
    kept = update(RefreshToken).where(RefreshToken.id == row.id)
    await unit.session.execute(kept.values(used_as=_fingerprint(session, asked), response=sealed))
    return pair


async def _second(unit: UnitOfWork, asked: Asked) -> TokenPair:
    """The token is unknown, was used before, or is no longer good."""
    known = (
        select(RefreshToken, Session)
        .join(Session, Session.id == RefreshToken.session_id)
        .where(RefreshToken.token_hash == hashed(asked.token), live(unit.now()))
        .with_for_update(of=Session)
    )
    row = (await unit.session.execute(known.execution_options(populate_existing=True))).one_or_none()
    if row is None:
        raise InvalidGrant
    token: RefreshToken = row[0]
    session: Session = row[1]
    if token.used_at is None:
        # Another client's, or unused for too long: not valid, and no sign of theft.
        raise InvalidGrant
    grace = timedelta(seconds=unit.port(AuthPorts).settings.grace_seconds)
    if grace and token.generation == session.generation - 1 and unit.now() - token.used_at <= grace:
        return await _again(unit, asked, token, session)
    await enter_former(unit, session.tenant)
    await revoke(unit, Session.id == session.id, why="reuse")
    reused = RefreshTokenReused(session_id=session.id, user_id=session.user_id, generation=token.generation)
    await unit.emit(REFRESH_TOKEN_REUSED, reused)
    told = {"request_id": unit.context.request_id, "session": str(session.id), "principal": str(session.user_id)}
    log.warning("a refresh token came again, and its session was ended", extra=told)
    raise InvalidGrant(keep=True)


async def _again(unit: UnitOfWork, asked: Asked, token: RefreshToken, session: Session) -> TokenPair:
    """The answer that was lost, to the letter, for whoever asked for it the first time."""
    if token.response is None or token.used_as != _fingerprint(session, asked):
        raise InvalidGrant
    await _confirm(unit, session)
    return TokenPair.model_validate_json(unit.port(AuthPorts).sealer.unseal(_purpose(asked), token.response))


async def _confirm(unit: UnitOfWork, session: Session) -> None:
    """A session for a tenant is renewed only as long as its person belongs to it."""
    if session.tenant is None:
        unit.identify(Principal(kind="user", id=str(session.user_id), session=str(session.id)))
        return
    principal = Principal(kind="user", id=str(session.user_id), tenant=session.tenant, session=str(session.id))
    try:
        await enter_confirmed(unit, principal)
    except NotAMember:
        raise InvalidGrant from None


def _narrowed(granted: str | None, wanted: str | None) -> str | None:
    if wanted is None:
        return granted
    if granted is not None and not set(wanted.split()) <= set(granted.split()):
        raise InvalidScope("The session was not opened for this scope.")
    return wanted


def _fingerprint(session: Session, asked: Asked) -> bytes:
    """Who asks for what: client, tenant, scopes."""
    wanted = None if asked.scope is None else sorted(asked.scope.split())
    told = [asked.client_id, str(session.tenant), session.scope, wanted]
    return hashlib.sha256(json.dumps(told).encode()).digest()


def _purpose(asked: Asked) -> str:
    """Of the token itself: without it, not even our secret key opens the answer."""
    return f"refresh/{asked.token}"
