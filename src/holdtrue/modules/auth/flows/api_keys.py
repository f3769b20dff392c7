"""API keys of a tenant: shown once, kept as a hash, known by their prefix, revoked at once.

A key never holds more than the person who made it holds now: who leaves the tenant leaves no key behind.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, LargeBinary, Text, Uuid, bindparam, column, func, select, update

from holdtrue.modules.auth.contract import API_KEY_CREATED, API_KEY_REVOKED
from holdtrue.modules.auth.errors import PeopleOnly, TooManyKeys, TooWide
from holdtrue.modules.auth.flows.sessions import hashed, new_token
from holdtrue.modules.auth.models import ApiKey
from holdtrue.modules.auth.payloads import ApiKeyCreated, ApiKeyRevoked
from holdtrue.runtime import NotFound, Principal, Unauthorized, UnitOfWork, flow

MARK = "htk_"
"""How a key begins, so that a scanner of secrets knows one when it sees one."""
MOST_KEYS = 100
_BY_PREFIX = select(
    func.auth_api_key(bindparam("prefix", type_=Text())).table_valued(
        column("tenant_id", Uuid),
        column("id", Uuid),
        column("secret_hash", LargeBinary),
        column("scopes", ARRAY(Text)),
        column("created_by", Uuid),
        column("expires_at", DateTime(timezone=True)),
    )
)
_NO_KEY = hashed("")


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key, and its only appearance in plain text."""

    row: ApiKey
    key: str


@flow(emits=(API_KEY_CREATED,))
async def create_api_key(unit: UnitOfWork, *, name: str, scopes: Sequence[str], days: int) -> NewKey:
    """A key that may do no more than its maker may.

    Raises:
        PeopleOnly: a key cannot make keys.
        TooWide: a scope that the caller does not hold.
        TooManyKeys: the tenant has enough.
    """
    caller = unit.context.principal
    if caller.kind != "user":
        raise PeopleOnly("Only somebody signed in can make a key.")
    lacking = sorted(set(scopes) - (caller.permissions or frozenset()))
    if lacking:
        raise TooWide(f"You do not hold {', '.join(lacking)} yourself.")
    there = select(func.count()).select_from(ApiKey).where(ApiKey.revoked_at.is_(None), ApiKey.expires_at > unit.now())
    if (await unit.session.scalar(there) or 0) >= MOST_KEYS:
        raise TooManyKeys(f"There are {MOST_KEYS} keys already; revoke one.")
    prefix, secret = f"{MARK}{secrets.token_hex(6)}", new_token()
    row = ApiKey(
        name=name,
        prefix=prefix,
        secret_hash=hashed(secret),
        scopes=sorted(set(scopes)),
        created_by=UUID(caller.id),
        expires_at=unit.now() + timedelta(days=days),
    )
    unit.session.add(row)
    told = ApiKeyCreated(key_id=row.id, name=name, scopes=tuple(row.scopes), expires_at=row.expires_at)
    await unit.emit(API_KEY_CREATED, told)
    return NewKey(row=row, key=f"{prefix}.{secret}")


async def api_keys(unit: UnitOfWork) -> Sequence[ApiKey]:
    """The tenant's keys that are not revoked, newest first."""
    query = select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.created_at.desc()).limit(MOST_KEYS * 2)
    return (await unit.session.scalars(query)).all()


@flow(emits=(API_KEY_REVOKED,))
async def revoke_api_key(unit: UnitOfWork, key_id: UUID) -> None:
    """From its next request on the key opens nothing.

    Raises:
        NotFound: there is none such here.
        PeopleOnly: a key cannot revoke keys.
    """
    if unit.context.principal.kind != "user":
        raise PeopleOnly("Only somebody signed in can revoke a key.")
    ended = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=unit.now())
    if await unit.session.scalar(ended.returning(ApiKey.id)) is None:
        raise NotFound
    await unit.emit(API_KEY_REVOKED, ApiKeyRevoked(key_id=key_id))


async def principal_of_key(unit: UnitOfWork, key: str) -> Principal:
    """Who a key is: asked of the database each time.

    Raises:
        Unauthorized: unknown, revoked or expired.
    """
    prefix, _, secret = key.partition(".")
    found = (await unit.session.execute(_BY_PREFIX, {"prefix": prefix})).one_or_none()
    right = hmac.compare_digest(_NO_KEY if found is None else found.secret_hash, hashed(secret))
    if found is None or not right or found.expires_at <= unit.now():
        raise Unauthorized
    return Principal(
        kind="key",
        id=str(found.id),
        user=str(found.created_by),
        tenant=found.tenant_id,
        permissions=frozenset(found.scopes),
    )
