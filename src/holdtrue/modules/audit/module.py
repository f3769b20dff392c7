"""The wiring."""

from collections.abc import Iterable
from pathlib import Path

from holdtrue.modules.audit.contract import CONTRACT
from holdtrue.modules.audit.http import router
from holdtrue.modules.audit.models import Base
from holdtrue.modules.audit.recording import Recording
from holdtrue.modules.audit.redaction import Secrets
from holdtrue.runtime import Module


def Audit(*, secrets: Iterable[str] = ()) -> Module:  # noqa: N802  (reads like a type where an app is composed)
    """Records every audited event and every denial. ``secrets``: names of payload fields that no history may hold."""
    return Module(
        contract=CONTRACT,
        routers=(router,),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        recorder=Recording(Secrets(frozenset(secrets))),
    )
