"""One address: what cannot be two recipients, a header, or a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdtrue.modules.email.errors import AddressRefused

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})*)")


@dataclass(frozen=True, kw_only=True)
class Address:
    """A mailbox (RFC 5321, 4.1.2, without quoted local parts, address literals and RFC 6531)."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """One bare address.

        Raises:
            AddressRefused: it is none, several, or one with a name.
        """
        found = _ADDRESS.fullmatch(text) if len(text) <= 254 else None
        if found is None or len(found["local"]) > 64:
            raise AddressRefused("This is not an e-mail address that mail can be sent to.")
        return cls(local=found["local"], domain=found["domain"].lower())

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def normal(self) -> str:
        """By which it is recognised: no mail system in use tells Ann@ from ann@."""
        return str(self).lower()
