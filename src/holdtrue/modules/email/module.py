"""The wiring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from holdtrue.modules.email.adapters.smtp import SmtpTransport
from holdtrue.modules.email.checking import check
from holdtrue.modules.email.contract import CONTRACT, DELIVER, FEEDBACK, FORGET
from holdtrue.modules.email.flows.deliver import deliver
from holdtrue.modules.email.flows.feedback import learn
from holdtrue.modules.email.flows.forget import forget
from holdtrue.modules.email.flows.owe import owe
from holdtrue.modules.email.http import router, webhooks
from holdtrue.modules.email.models import Base
from holdtrue.modules.email.ports import EmailPorts
from holdtrue.modules.email.sealing import Seal
from holdtrue.modules.email.settings import EmailSettings
from holdtrue.runtime import Module


@asynccontextmanager
async def open_ports(settings: EmailSettings) -> AsyncIterator[EmailPorts]:
    """Once per process."""
    yield EmailPorts(settings=settings, transport=SmtpTransport(settings), seal=Seal(settings.seal_keys))


def Email() -> Module:  # noqa: N802  (reads like a type where an app is composed)
    """Sends the mails that the modules and the app declare in their contracts."""
    return Module(
        contract=CONTRACT,
        routers=(router, webhooks),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        settings=EmailSettings,
        open=open_ports,
        bindings=(DELIVER.bind(deliver), FEEDBACK.bind(learn), FORGET.bind(forget)),
        mailer=owe,
        verify=check,
    )
