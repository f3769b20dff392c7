"""Fills the ``recorder`` port: the statements that the unit of work runs right before it commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable, Table, insert

from holdtrue.modules.audit.models import AuditEvent
from holdtrue.modules.audit.redaction import Secrets
from holdtrue.runtime import AuditFact
from holdtrue.runtime.context import NO_TENANT

_EVENTS: Table = AuditEvent.metadata.tables["audit_events"]


class Recording:
    """The recorder of one composed app."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __call__(self, facts: Sequence[AuditFact]) -> Sequence[Executable]:
        """One insert for each fact: a statement of several rows would be compiled anew for every number of them."""
        return [insert(_EVENTS).values(self._row(fact)).inline() for fact in facts]

    def _row(self, fact: AuditFact) -> dict[str, Any]:
        return {
            "tenant_id": fact.tenant or NO_TENANT,
            "id": fact.id,
            "action": fact.action,
            "outcome": fact.outcome,
            "subject": fact.subject,
            "actor_kind": fact.principal.kind,
            "actor_id": fact.principal.id,
            "behalf_kind": fact.on_behalf_of.kind if fact.on_behalf_of else None,
            "behalf_id": fact.on_behalf_of.id if fact.on_behalf_of else None,
            "request_id": fact.request_id,
            "details": self._secrets.left_out_of(fact.details),
        }
