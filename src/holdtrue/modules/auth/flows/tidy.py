"""Forgets what has expired: what is not kept cannot leak."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, update

from holdtrue.modules.auth.models import Counter, Link, Network, RefreshToken, Session
from holdtrue.modules.auth.payloads import Nothing
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Work

_LONGEST_WINDOW = timedelta(hours=1)
_LINKS_KEPT = timedelta(days=1)
_NETWORKS_KEPT = timedelta(days=180)
_SESSIONS_KEPT = timedelta(days=1)
"""An ended session is still known for a day; then its tokens are as unknown as any other."""


async def tidy(work: Work, _: Nothing) -> None:
    """Every statement by itself decides by time, so doing it twice does nothing more."""
    grace = timedelta(seconds=work.port(AuthPorts).settings.grace_seconds)
    async with work.finish() as unit:
        now = unit.now()
        answered = update(RefreshToken).where(RefreshToken.response.is_not(None), RefreshToken.used_at < now - grace)
        await unit.session.execute(answered.values(response=None))
        for table, gone in (
            (Counter, Counter.window_start < now - _LONGEST_WINDOW),
            (Link, Link.expires_at < now - _LINKS_KEPT),
            (Network, Network.seen_at < now - _NETWORKS_KEPT),
            (Session, (Session.expires_at < now - _SESSIONS_KEPT) | (Session.revoked_at < now - _SESSIONS_KEPT)),
        ):
            await unit.session.execute(delete(table).where(gone))
