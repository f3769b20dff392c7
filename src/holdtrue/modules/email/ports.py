"""What a process has of this module, opened once as it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from holdtrue.modules.email.sealing import Seal
from holdtrue.modules.email.settings import EmailSettings


class Transport(Protocol):
    """Hands one mail to whoever delivers it."""

    async def send(self, *, sender: str, recipient: str, message: bytes) -> str:
        """Returns the answer in codes. Raises ``Deferred``, ``Rejected`` or ``OutcomeUnknown``."""


@dataclass(frozen=True, kw_only=True)
class EmailPorts:
    """Reached by ``unit.port(EmailPorts)``."""

    settings: EmailSettings
    transport: Transport
    seal: Seal
