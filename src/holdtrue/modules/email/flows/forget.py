"""Erases what is not needed any more: sealed texts that were never sent, and old addresses."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from holdtrue.modules.email.contract import Nothing
from holdtrue.modules.email.ports import EmailPorts
from holdtrue.runtime import Work

TEXTS = timedelta(days=10)
"""Longer than any mail is tried."""


async def forget(work: Work, payload: Nothing) -> None:
    """For all tenants at once."""
    kept = timedelta(days=work.port(EmailPorts).settings.keep_days)
    async with work.finish() as unit:
        await unit.session.execute(select(func.email_forget(TEXTS, kept)))
