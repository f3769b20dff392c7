"""The life of a signing key: published, signing, verifying what it signed, gone.

A new key is published one cache lifetime of the key set before it signs, so that nobody meets a token whose key they
do not have yet; an old one verifies until the last token it signed has expired. Time alone moves a key on.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc.jwk import RSAKey
from sqlalchemy import ColumnElement, delete, func, or_, select, update

from holdtrue.modules.auth.adapters.access_tokens import new_key, private_text, public_part, read_key
from holdtrue.modules.auth.contract import SIGNING_KEY_REVOKED
from holdtrue.modules.auth.models import SigningKey
from holdtrue.modules.auth.payloads import Nothing, SigningKeyRevoked
from holdtrue.modules.auth.ports import KEY_MEMORY, AuthPorts
from holdtrue.runtime import NotFound, UnitOfWork, Work, flow, uuid7

log = logging.getLogger(__name__)
_TURN = func.pg_advisory_xact_lock(0x61757468)
"""Whoever adds or revokes keys does it alone."""


async def signing_key(unit: UnitOfWork) -> RSAKey:
    """The key that signs now; made, if there is none yet."""
    row = await _signing(unit)
    if row is None:
        await unit.session.execute(select(_TURN))
        row = await _signing(unit) or await _add(unit, signs_from=unit.now())
    return _private(unit, row)


async def verifying_key(unit: UnitOfWork, kid: UUID) -> RSAKey | None:
    """A key by the id that a token names; None where it verifies nothing, or no longer."""
    memory, now = unit.port(AuthPorts).keys, unit.now()
    key = memory.fresh(kid, now)
    if key is None:
        public = await unit.session.scalar(select(SigningKey.public).where(SigningKey.id == kid, _published(now)))
        key = None if public is None else read_key(public)
        memory.learn(kid, key, now)
    return key


async def published_keys(unit: UnitOfWork) -> list[dict[str, Any]]:
    """The public parts of all keys that verify, or will soon (RFC 7517)."""
    rows = await unit.session.scalars(
        select(SigningKey.public).where(_published(unit.now())).order_by(SigningKey.signs_from)
    )
    return [dict(each) for each in rows]


async def rotate_keys(work: Work, _: Nothing) -> None:
    """Publish the next key when the present one is old enough, and forget those that verify nothing any more."""
    settings = work.port(AuthPorts).settings
    async with work.finish() as unit:
        now = unit.now()
        await unit.session.execute(select(_TURN))
        gone = SigningKey.verify_until < now - timedelta(days=1)
        await unit.session.execute(delete(SigningKey).where(gone))
        newest = await unit.session.scalar(
            select(SigningKey).where(_published(now)).order_by(SigningKey.signs_from.desc()).limit(1)
        )
        if newest is None:
            await _add(unit, signs_from=now)
        elif newest.signs_from + timedelta(days=settings.rotation_days) <= now:
            following = await _add(unit, signs_from=now + timedelta(seconds=settings.jwks_seconds))
            newest.verify_until = _last_use(unit, following.signs_from)


@flow(emits=(SIGNING_KEY_REVOKED,))
async def revoke_signing_key(unit: UnitOfWork, kid: UUID) -> None:
    """A private key is out: from now on (in other processes within ``KEY_MEMORY``) what it signed opens nothing.

    Everybody's access tokens of that key are refused; refresh tokens renew them. The next key signs at once.

    Raises:
        NotFound: there is no such key.
    """
    await unit.session.execute(select(_TURN))
    revoked = await unit.session.scalar(
        update(SigningKey)
        .where(SigningKey.id == kid)
        .values(revoked_at=func.coalesce(SigningKey.revoked_at, unit.now()), sealed=None)
        .returning(SigningKey.id)
    )
    if revoked is None:
        raise NotFound
    unit.port(AuthPorts).keys.learn(kid, None, unit.now())
    if await _signing(unit) is None:
        heir = await unit.session.scalar(
            select(SigningKey)
            .where(_published(unit.now()), SigningKey.verify_until.is_(None))
            .order_by(SigningKey.signs_from)
            .limit(1)
        )
        if heir is not None:
            heir.signs_from = unit.now()
        else:
            await _add(unit, signs_from=unit.now())
    await unit.emit(SIGNING_KEY_REVOKED, SigningKeyRevoked(key_id=kid))
    log.warning("a signing key was revoked", extra={"request_id": unit.context.request_id, "key": str(kid)})


async def revoke_signing_keys(work: Work, _: Nothing) -> None:
    """All of them, where nobody knows which is out; an operator enqueues it."""
    async with work.finish() as unit:
        # The newest first, so that none of those to be revoked becomes the heir of another.
        query = select(SigningKey.id).where(_published(unit.now())).order_by(SigningKey.signs_from.desc())
        for kid in (await unit.session.scalars(query)).all():
            await revoke_signing_key(unit, kid)


def _published(now: datetime) -> ColumnElement[bool]:
    return SigningKey.revoked_at.is_(None) & or_(SigningKey.verify_until.is_(None), SigningKey.verify_until > now)


async def _signing(unit: UnitOfWork) -> SigningKey | None:
    now = unit.now()
    found: SigningKey | None = await unit.session.scalar(
        select(SigningKey)
        .where(_published(now), SigningKey.signs_from <= now)
        .order_by(SigningKey.signs_from.desc())
        .limit(1)
    )
    return found


async def _add(unit: UnitOfWork, *, signs_from: datetime) -> SigningKey:
    kid = uuid7()
    key = await asyncio.to_thread(new_key, kid)
    sealed = unit.port(AuthPorts).sealer.seal(_purpose(kid), private_text(key))
    row = SigningKey(id=kid, public=public_part(key), sealed=sealed, signs_from=signs_from)
    unit.session.add(row)
    await unit.session.flush()
    log.info("a signing key was made", extra={"request_id": unit.context.request_id, "key": str(kid)})
    return row


def _private(unit: UnitOfWork, row: SigningKey) -> RSAKey:
    ports = unit.port(AuthPorts)
    known = ports.keys.private.get(row.id)
    if known is None:
        known = read_key(ports.sealer.unseal(_purpose(row.id), row.sealed or ""))
        ports.keys.private[row.id] = known
    return known


def _purpose(kid: UUID) -> str:
    return f"signing-key/{kid}"


def _last_use(unit: UnitOfWork, successor: datetime) -> datetime:
    """A process may have chosen the key just before its successor took over."""
    return successor + unit.port(AuthPorts).tokens.verified_for + KEY_MEMORY
