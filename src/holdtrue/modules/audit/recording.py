"""Fills the ``recorder`` port: the statements that the unit of work runs right before it commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from holdtrue.modules.audit.redaction import Secrets
from holdtrue.runtime import AuditFact
from holdtrue.runtime.context import NO_TENANT
from holdtrue.runtime.ports import Statement

_COLUMNS = {
    "tenant_id": "uuid",
    "id": "uuid",
    **dict.fromkeys(("action", "outcome", "subject", "actor_kind", "actor_id"), "text"),
    **dict.fromkeys(("behalf_kind", "behalf_id", "request_id"), "text"),
    "details": "jsonb",
}
_RECORD = text(
    f"INSERT INTO audit_events ({', '.join(_COLUMNS)}) SELECT * FROM jsonb_to_recordset(:facts) "  # noqa: S608
    f"AS fact ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())})"
).bindparams(bindparam("facts", type_=JSONB))
"""One statement, compiled once, for any number of facts."""


class Recording:
    """The recorder of one composed app."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __call__(self, facts: Sequence[AuditFact]) -> Sequence[Statement]:
        """One statement for all of them."""
        return [(_RECORD, [{"facts": [self._row(fact) for fact in facts]}])]

    def _row(self, fact: AuditFact) -> dict[str, Any]:
        return {
            "tenant_id": str(fact.tenant or NO_TENANT),
            "id": str(fact.id),
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
