"""What the placeholders of ``[process]`` stand for: addresses and credentials of the instruments."""

from __future__ import annotations

import hashlib
import hmac
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from holdtrue.contract.document import Command
from holdtrue.contract.template import render

DATABASE = "app"
"""The database name the app sees; the wire decides which clone it really gets."""

_SECRET = re.compile(r"\{secret:([A-Za-z0-9_]+)\}")


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """Where one process finds the instruments."""

    wire_port: int
    wire_password: str
    owner: str
    runtime: str
    stripe_url: str
    stripe_key: str
    stripe_webhook_secret: str
    smtp_port: int
    secret_root: bytes
    """``{secret:NAME}`` derives from it, so that all processes of a check share their secrets."""

    @classmethod
    def nobody(cls) -> Instruments:
        """Addresses on this machine behind which nobody is (port 9: discard): shows what a document makes of them."""
        return cls(
            wire_port=9,
            wire_password="none",  # noqa: S106
            owner="app",
            runtime="app",
            stripe_url="https://127.0.0.1:9",
            stripe_key="sk_test_none",
            stripe_webhook_secret="whsec_none",  # noqa: S106
            smtp_port=9,
            secret_root=b"none",
        )

    def values(self) -> dict[str, str]:
        """Placeholder → value."""
        return {
            "postgres_url": self._url(self.runtime),
            "postgres_owner_url": self._url(self.owner),
            "postgres_host": "127.0.0.1",
            "postgres_port": str(self.wire_port),
            "postgres_user": self.runtime,
            "postgres_password": self.wire_password,
            "postgres_database": DATABASE,
            "stripe_url": self.stripe_url,
            "stripe_key": self.stripe_key,
            "stripe_webhook_secret": self.stripe_webhook_secret,
            "smtp_host": "127.0.0.1",
            "smtp_port": str(self.smtp_port),
        }

    def environment(self, templates: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
        """Render the document's environment."""
        values = {"port": "0"} | self.values() | dict(extra)
        return {name: render(self._secrets(text), values) for name, text in templates.items()}

    def command(self, command: Command, variables: Mapping[str, object]) -> list[str]:
        """Split a command as a shell would, without a shell, and fill its placeholders."""
        values = dict(variables) | self.values()
        words = shlex.split(command) if isinstance(command, str) else command
        return [render(self._secrets(word), values) for word in words]

    def secrets_by_name(self, templates: Iterable[str] = ()) -> dict[str, str]:
        """What must never be printed, with the secrets that templates ask for."""
        asked = {name for text in templates for name in _SECRET.findall(text)}
        return {f"secret {name}": self.secret(name) for name in sorted(asked)} | {
            "postgres_password": self.wire_password,
            "stripe_secret_key": self.stripe_key,
            "stripe_webhook_secret": self.stripe_webhook_secret,
        }

    def _url(self, user: str) -> str:
        return f"postgresql://{user}:{quote(self.wire_password, safe='')}@127.0.0.1:{self.wire_port}/{DATABASE}"

    def _secrets(self, text: str) -> str:
        return _SECRET.sub(lambda found: self.secret(found[1]), text)

    def secret(self, name: str) -> str:
        """A secret of 64 hexadecimal digits, the same for every process of this check."""
        return hmac.new(self.secret_root, name.encode(), hashlib.sha256).hexdigest()
