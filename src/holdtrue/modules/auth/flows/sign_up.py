"""Sign-up is completed by whoever holds the mailed link, and the password is chosen then and there.

So there is no account with an unproved address, and nobody can prepare one for somebody else (pre-hijacking).
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.auth.contract import SIGNED_IN, SIGNED_UP, SIGNING_UP
from holdtrue.modules.auth.errors import InvalidLink
from holdtrue.modules.auth.flows.limits import proved
from holdtrue.modules.auth.flows.links import look_at, use
from holdtrue.modules.auth.flows.sessions import TokenPair, open_session
from holdtrue.modules.auth.models import User
from holdtrue.modules.auth.payloads import SignedIn, SignedUp, SigningUp
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Principal, UnitOfWork, flow, uuid7


@flow(emits=(SIGNED_UP, SIGNED_IN))
async def complete_sign_up(
    unit: UnitOfWork, *, token: str, password: str, details: dict[str, str], client_id: str, agent: str
) -> TokenPair:
    """Make the user, and open the first session: for the tenant that a binding of ``auth.signing_up`` entered.

    Raises:
        InvalidLink: unknown, used or expired; or the address became somebody's meanwhile.
    """
    await look_at(unit, "sign_up", token)
    async with unit.outside("argon2"):
        password_hash = await unit.port(AuthPorts).passwords.hash(password)
    email = await use(unit, "sign_up", token)
    made = insert(User).values(id=uuid7(), email=email, password_hash=password_hash).on_conflict_do_nothing()
    user = await unit.session.scalar(made.returning(User))
    if user is None:
        raise InvalidLink
    unit.identify(Principal(kind="user", id=str(user.id)))
    await unit.guard(SIGNING_UP, SigningUp(user_id=user.id, email=email, details=details))
    await proved(unit, user)
    await unit.emit(SIGNED_UP, SignedUp(user_id=user.id))
    pair = await open_session(unit, user, client_id=client_id, scope=None, agent=agent)
    await unit.emit(SIGNED_IN, SignedIn(user_id=user.id, session_id=pair.session_id, client_id=client_id))
    return pair
