"""The module that is held, with what it needs around it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import BaseModel

from holdtrue.assembly.compose import Assembly, compose
from holdtrue.assembly.describe import RUNTIME_ENV
from holdtrue.assembly.testing import Doors
from holdtrue.contract import Binding
from holdtrue.runtime import Module
from holdtrue.runtime.migrating import Migrations

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?::([a-z_]+))?\}")
_NOBODY = {"smtp_host": "127.0.0.1", "smtp_port": "9", "stripe_url": "http://127.0.0.1:9"}
"""Port 9 (discard): nothing in these tests may reach anybody."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A module under test."""

    module: Module
    needs: tuple[Module, ...]
    samples: dict[str, BaseModel]
    given: dict[str, str]

    @property
    def name(self) -> str:
        """The module's."""
        return self.module.name

    @cached_property
    def others(self) -> tuple[Module, ...]:
        """What it needs, and Doors for all ports that nobody fills."""
        doors, present = Doors(), (self.module, *self.needs)
        left = replace(
            doors,
            authenticator=None if any(each.authenticator for each in present) else doors.authenticator,
            tenants=None if any(each.tenants for each in present) else doors.tenants,
            mailer=None if any(each.mailer for each in present) else doors.mailer,
            recorder=None if any(each.recorder for each in present) else doors.recorder,
        )
        return (*self.needs, left)

    def composed(self, *bindings: Binding) -> Assembly:
        """The module in the place of an app.

        Raises:
            Faults: it does not compose.
        """
        return compose(self.module, *self.others, bindings=bindings, environ={})

    def migrations(self, *, whole: bool) -> Migrations:
        """The revisions of all, or of all others."""
        modules = (*self.others, self.module) if whole else self.others
        return Migrations([each.migrations for each in modules if each.migrations is not None])

    @cached_property
    def environ(self) -> dict[str, str]:
        """What the contracts say for a rehearsal, with values for nobody's services."""
        told = {name: text for name, text in RUNTIME_ENV.items() if name != "DATABASE_URL"}
        for module in (*self.others, self.module):
            contract = module.contract
            told |= {each.name: each.rehearse for each in contract.secrets}
            told |= {each.name: each.rehearse for each in contract.variables}
            told |= contract.rehearsal.env
        made: dict[str, str] = {}

        def value(found: re.Match[str]) -> str:
            kind, name = found.groups()
            if kind in _NOBODY:
                return _NOBODY[kind]
            # Shaped like the providers' own test credentials, which settings may insist on.
            start = {"stripe_key": "sk_test_", "stripe_webhook_secret": "whsec_"}.get(kind, "")
            return made.setdefault(f"{kind}:{name}", start + secrets.token_hex(32))

        return {name: _PLACEHOLDER.sub(value, text) for name, text in told.items()} | self.given
