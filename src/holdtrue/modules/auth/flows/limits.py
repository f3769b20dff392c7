"""Limits on attempts, counted in the database so that every process counts the same.

Nobody can shut somebody out for long: what is counted for an address over all networks never concerns a network that
this person was signed in from before (OWASP, Authentication Cheat Sheet, "device cookies"), and a reset makes the
network it came from such a one.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from datetime import timedelta

from sqlalchemy import case, delete, select
from sqlalchemy.dialects.postgresql import insert

from holdtrue.modules.auth.errors import TooManyAttempts
from holdtrue.modules.auth.models import Counter, Network, User
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import UnitOfWork

log = logging.getLogger(__name__)
_SIGN_IN = timedelta(minutes=5)


async def limit_sign_in(unit: UnitOfWork, email: str) -> None:
    """Count an attempt before it is made; the caller commits before it compares anything.

    Raises:
        TooManyAttempts: from this network, or at this address.
    """
    settings, network = unit.port(AuthPorts).settings, network_of(unit)
    await _within(unit, f"sign-in/{network}", settings.sign_ins_per_network, timedelta(minutes=1))
    await _within(unit, _pair(email, network), settings.sign_ins_per_person_and_network, _SIGN_IN)
    if not await _known(unit, email, network):
        await _within(unit, f"sign-in/{email}", settings.sign_ins_per_person, _SIGN_IN)


async def limit_mail_of_network(unit: UnitOfWork) -> None:
    """Count a mail asked for from this network.

    Raises:
        TooManyAttempts: too many; whoever the mail is for.
    """
    most = unit.port(AuthPorts).settings.mails_per_network
    await _within(unit, f"mail/{network_of(unit)}", most, timedelta(hours=1))


async def may_mail(unit: UnitOfWork, email: str) -> bool:
    """Count a mail to this address; False when it had enough. Whoever asks is not told."""
    most = unit.port(AuthPorts).settings.mails_per_person
    return await _seconds_over(unit, f"mail/{email}", most, timedelta(hours=1)) is None


async def proved(unit: UnitOfWork, user: User) -> None:
    """This person is at this network: forget the attempts from here, and remember the network."""
    network = network_of(unit)
    await unit.session.execute(delete(Counter).where(Counter.key == _key(unit, _pair(user.email, network))))
    seen = insert(Network).values(user_id=user.id, network=_hashed(unit, network), seen_at=unit.now())
    again = seen.on_conflict_do_update(
        index_elements=[Network.user_id, Network.network], set_={"seen_at": seen.excluded.seen_at}
    )
    await unit.session.execute(again)


def network_of(unit: UnitOfWork) -> str:
    """The peer's network: its address, or the /64 that one customer has in IPv6."""
    try:
        address = ipaddress.ip_address(unit.context.address)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


async def _known(unit: UnitOfWork, email: str, network: str) -> bool:
    known = (
        select(Network.user_id)
        .join(User, User.id == Network.user_id)
        .where(User.email == email, Network.network == _hashed(unit, network))
    )
    return await unit.session.scalar(known) is not None


async def _within(unit: UnitOfWork, what: str, most: int, window: timedelta) -> None:
    seconds = await _seconds_over(unit, what, most, window)
    if seconds is not None:
        log.warning(
            "a limit was reached", extra={"request_id": unit.context.request_id, "limit": what.partition("/")[0]}
        )
        raise TooManyAttempts(seconds)


async def _seconds_over(unit: UnitOfWork, what: str, most: int, window: timedelta) -> int | None:
    """Count one more; None while there are no more than ``most``, then how long the window still lasts."""
    now = unit.now()
    fresh = insert(Counter).values(key=_key(unit, what), window_start=now, tries=1)
    over = Counter.window_start <= now - window
    counted = fresh.on_conflict_do_update(
        index_elements=[Counter.key],
        set_={
            "tries": case((over, 1), else_=Counter.tries + 1),
            "window_start": case((over, now), else_=Counter.window_start),
        },
    ).returning(Counter.tries, Counter.window_start)
    row = (await unit.session.execute(counted)).one()
    if row.tries <= most:
        return None
    left: timedelta = row.window_start + window - now
    return max(1, math.ceil(left.total_seconds()))


def _pair(email: str, network: str) -> str:
    return f"sign-in/{email}/{network}"


def _key(unit: UnitOfWork, what: str) -> bytes:
    return unit.port(AuthPorts).sealer.pseudonym("counter", what)


def _hashed(unit: UnitOfWork, network: str) -> bytes:
    return unit.port(AuthPorts).sealer.pseudonym("network", network)
