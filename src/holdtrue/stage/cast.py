"""The cast of a rehearsal: who acts, for which tenant, and what each of them knows."""

from __future__ import annotations

import secrets
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from holdtrue.contract.document import Document, Principal

TENANTS = ("a", "b")


@dataclass(frozen=True)
class Who:
    """One member of the cast, such as ``owner@a``; ``tenant`` is None for a principal of the whole app."""

    name: str
    tenant: str | None

    def __str__(self) -> str:
        return f"{self.name}@{self.tenant}" if self.tenant else self.name


@dataclass
class Knowledge:
    """The variables of the scene, by scope."""

    app: dict[str, object] = field(default_factory=dict)
    tenants: dict[str, dict[str, object]] = field(default_factory=lambda: {tenant: {} for tenant in TENANTS})
    principals: dict[Who, dict[str, object]] = field(default_factory=dict)
    uses: int = 0
    """How often ``{unique}`` was asked for; part of the scene, so that a case is given the same labels each time."""

    def copy(self) -> Knowledge:
        """A copy that a rehearsal may change."""
        return deepcopy(self)


class Cast:
    """Who there is and what they know."""

    def __init__(self, document: Document, *, seed: int) -> None:
        self.document = document
        self.knowledge = Knowledge()
        random = Random(seed)  # noqa: S311 - labels, not secrets
        self.knowledge.app["password"] = f"Ht-{secrets.token_urlsafe(18)}-9"
        for tenant in TENANTS:
            label = "".join(random.choices("bcdfghjkmnpqrstvwxz", k=8))
            self.knowledge.tenants[tenant] |= {"tenant": tenant, "canary": f"canary{tenant}{label}"}

    def members(self) -> list[Who]:
        """Everybody, in the order of the document, tenant by tenant."""
        whole_app = [Who(name, None) for name, principal in self.document.principals.items() if principal.per == "app"]
        return [
            *(
                Who(name, tenant)
                for tenant in TENANTS
                for name, principal in self.document.principals.items()
                if principal.per == "tenant"
            ),
            *whole_app,
        ]

    def principal(self, who: Who) -> Principal:
        """The document's entry of a member."""
        return self.document.principals[who.name]

    def holds(self, who: Who, permission: str) -> bool:
        """Whether a member holds a permission; everybody in the cast is signed in."""
        held = self.principal(who).permissions
        return permission == "signed_in" or "*" in held or permission in held

    def who(self, name: str, tenant: str | None) -> Who:
        """The member of that name, of the given tenant where there is one per tenant. ``name@tenant`` is explicit."""
        base, _, explicit = name.partition("@")
        return Who(base, (explicit or tenant) if self.document.principals[base].per == "tenant" else None)

    def canary(self, tenant: str) -> str:
        """The text by which a tenant's data is recognised."""
        return str(self.knowledge.tenants[tenant]["canary"])

    def unique(self) -> str:
        """A label that was not used before on top of this scene."""
        self.knowledge.uses += 1
        return f"u{self.knowledge.uses}"

    def view(
        self, who: Who | None, tenant: str | None, extra: MutableMapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """The variables a step sees: its own, then the principal's, the tenant's and the app's."""
        scopes: list[MutableMapping[str, object]] = [extra if extra is not None else {}]
        if who is not None:
            scopes.append(self.knowledge.principals.setdefault(who, {"principal": who.name}))
        if tenant is not None:
            scopes.append(self.knowledge.tenants[tenant])
        scopes.append(self.knowledge.app)
        return ChainMap(*scopes)

    def learn(self, who: Who | None, tenant: str | None, found: Mapping[str, object]) -> None:
        """Keep captured variables: with the principal, and with its tenant where the tenant lacks that name."""
        if who is not None:
            self.knowledge.principals.setdefault(who, {"principal": who.name}).update(found)
        scope = self.knowledge.tenants[tenant] if tenant is not None else self.knowledge.app
        for name, value in found.items():
            scope.setdefault(name, value)
