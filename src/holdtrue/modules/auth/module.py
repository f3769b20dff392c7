"""The wiring of auth."""

from __future__ import annotations

from pathlib import Path

from holdtrue.modules.auth.contract import CONTRACT, REVOKE_KEYS, ROTATE_KEYS, SEND_LINK, TIDY
from holdtrue.modules.auth.flows.authenticate import authenticate
from holdtrue.modules.auth.flows.links import send_link
from holdtrue.modules.auth.flows.signing_keys import revoke_signing_keys, rotate_keys
from holdtrue.modules.auth.flows.tidy import tidy
from holdtrue.modules.auth.http import router, well_known
from holdtrue.modules.auth.models import Base
from holdtrue.modules.auth.ports import open_ports
from holdtrue.modules.auth.settings import AuthSettings
from holdtrue.runtime import Module


def Auth() -> Module:  # noqa: N802  (reads like the thing it makes)
    """Sign-up, sign-in, sessions, access tokens, API keys. Everything else is decided by ``AUTH_…`` and by hooks."""
    return Module(
        contract=CONTRACT,
        routers=(router, well_known),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        settings=AuthSettings,
        open=open_ports,
        authenticator=authenticate,
        bindings=(
            SEND_LINK.bind(send_link),
            ROTATE_KEYS.bind(rotate_keys),
            REVOKE_KEYS.bind(revoke_signing_keys),
            TIDY.bind(tidy),
        ),
    )
