"""A new password: by a mailed link, or with the old one. Either ends other sessions and tells the person."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from holdtrue.modules.auth.contract import PASSWORD_CHANGED
from holdtrue.modules.auth.errors import InvalidLink, WrongCredentials
from holdtrue.modules.auth.flows.limits import limit_sign_in, proved
from holdtrue.modules.auth.flows.links import look_at, notice, use
from holdtrue.modules.auth.flows.sessions import require_live, revoke
from holdtrue.modules.auth.flows.standing import enter_former
from holdtrue.modules.auth.mails import CHANGED_MAIL
from holdtrue.modules.auth.models import Session, User
from holdtrue.modules.auth.payloads import PasswordChanged
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Principal, Unauthorized, UnitOfWork, flow


@flow(emits=(PASSWORD_CHANGED,))
async def reset_password(unit: UnitOfWork, *, token: str, password: str) -> None:
    """Set the password by a mailed link, and end every session. It signs nobody in.

    Raises:
        InvalidLink: unknown, used or expired.
    """
    await look_at(unit, "reset", token)
    async with unit.outside("argon2"):
        password_hash = await unit.port(AuthPorts).passwords.hash(password)
    email = await use(unit, "reset", token)
    user = await unit.session.scalar(select(User).where(User.email == email).with_for_update())
    if user is None:
        raise InvalidLink
    unit.identify(Principal(kind="user", id=str(user.id)))
    await proved(unit, user)
    await _change(unit, user, password_hash, by="reset", keep=None)


@flow(emits=(PASSWORD_CHANGED,))
async def change_password(unit: UnitOfWork, *, current: str, new: str) -> None:
    """Set the password of whoever is signed in, and end their other sessions (ASVS 5.0, 6.2.3 and 7.4.3).

    Raises:
        WrongCredentials: the current one is another.
        TooManyAttempts: guessed too often.
    """
    principal = unit.context.principal
    found = await _person(unit, UUID(principal.id))
    await limit_sign_in(unit, found.email)
    before = found.password_hash
    async with unit.outside("argon2"):
        passwords = unit.port(AuthPorts).passwords
        right = (await passwords.verify(before, current)).right
        password_hash = await passwords.hash(new) if right else ""
    if not right:
        raise WrongCredentials
    user = await unit.session.get(User, found.id, with_for_update=True, populate_existing=True)
    if user is None or user.password_hash != before:
        raise WrongCredentials
    await require_live(unit)
    await _change(unit, user, password_hash, by="change", keep=UUID(principal.session or ""))


async def _person(unit: UnitOfWork, user_id: UUID) -> User:
    user = await unit.session.get(User, user_id)
    if user is None:
        raise Unauthorized
    return user


async def _change(unit: UnitOfWork, user: User, password_hash: str, *, by: str, keep: UUID | None) -> None:
    if keep is not None:
        await enter_former(unit, await unit.session.scalar(select(Session.tenant).where(Session.id == keep)))
    user.password_hash = password_hash
    await unit.session.flush()
    others = Session.user_id == user.id
    await revoke(unit, others if keep is None else others & (Session.id != keep), why=f"password_{by}")
    await unit.emit(PASSWORD_CHANGED, PasswordChanged(user_id=user.id, by=by))
    await unit.mail(CHANGED_MAIL, to=user.email, payload=notice(unit))
