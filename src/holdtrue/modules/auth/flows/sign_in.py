"""Sign-in by address and password; the same statements and the same hashing whether or not there is such a person."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from holdtrue.modules.auth.contract import ARRIVED, SIGNED_IN
from holdtrue.modules.auth.errors import WrongCredentials
from holdtrue.modules.auth.flows.limits import limit_sign_in, proved
from holdtrue.modules.auth.flows.sessions import TokenPair, open_session
from holdtrue.modules.auth.flows.standing import enter_confirmed
from holdtrue.modules.auth.models import User
from holdtrue.modules.auth.payloads import Arrival, SignedIn
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Principal, UnitOfWork, flow

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Who wants to be let in, and for what."""

    email: str
    password: str
    client_id: str
    tenant: UUID | None
    scope: str | None
    agent: str


@flow(emits=(SIGNED_IN,))
async def sign_in(unit: UnitOfWork, attempt: Attempt) -> TokenPair:
    """A new session.

    Raises:
        TooManyAttempts: a limit was reached; nothing was compared.
        WrongCredentials: no such person, or another password.
        NotAMember: right, but not of the tenant that was asked for.
    """
    await limit_sign_in(unit, attempt.email)
    query = select(User.id, User.password_hash).where(User.email == attempt.email)
    found = (await unit.session.execute(query)).one_or_none()
    # Commits the counters, so that a refused attempt counts, and holds no connection while it hashes.
    async with unit.outside("argon2"):
        passwords = unit.port(AuthPorts).passwords
        verdict = await passwords.verify(found.password_hash if found else None, attempt.password)
    if found is None or not verdict.right:
        log.warning("a sign-in was refused", extra={"request_id": unit.context.request_id})
        raise WrongCredentials
    # The password may have been changed meanwhile; from here on it cannot be, until this commits. Who will write the
    # row takes the whole lock at once: two that share it and then both want it all would wait for each other.
    lock = {"read": verdict.better_hash is None}
    user = await unit.session.get(User, found.id, with_for_update=lock, populate_existing=True)
    if user is None or user.password_hash != found.password_hash:
        raise WrongCredentials
    if verdict.better_hash is not None:
        user.password_hash = verdict.better_hash
    await enter_confirmed(unit, Principal(kind="user", id=str(user.id), tenant=attempt.tenant))
    await proved(unit, user)
    pair = await open_session(unit, user, client_id=attempt.client_id, scope=attempt.scope, agent=attempt.agent)
    told = SignedIn(user_id=user.id, session_id=pair.session_id, client_id=attempt.client_id)
    await unit.emit(SIGNED_IN, told)
    arrival = Arrival(
        user_id=user.id,
        session_id=pair.session_id,
        tenant=pair.tenant,
        agent=attempt.agent,
        address=unit.context.address,
    )
    await unit.observe(ARRIVED, arrival)
    return pair
