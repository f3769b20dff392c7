"""By what an answer is known to hold another tenant's data: the canary, and keys of rows that only that tenant has."""

from __future__ import annotations

import json
from dataclasses import dataclass

from holdtrue.guarantees.tenancy.ownership import Ownership
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.steps import Rendered

SHORTEST = 8
"""Characters of a key that cannot stand in an answer by chance; a number never counts."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What only one tenant's rows hold."""

    canary: str
    keys: frozenset[str]

    @classmethod
    def of(cls, stage: Stage, tenant: str) -> Marks:
        """From the scene: texts in primary and unique keys of the tenant's rows, and of nobody else's."""
        owned = Ownership.of(stage)
        theirs: set[str] = set()
        others: set[str] = set()
        for table in stage.scene.catalog.stored:
            columns = {column for key in (table.primary_key, *table.unique) for column in key}
            for row in stage.scene.rows.rows.get(table.full_name, ()):
                found = {str(row[column]) for column in columns if _tells(row.get(column))}
                (theirs if owned.owner(table.full_name, row) == tenant else others).update(found)
        return cls(canary=stage.cast.canary(tenant), keys=frozenset(theirs - others))

    def found(self, answer: Answer, request: Rendered) -> bool:
        """Whether an answer has any of them that the request did not send itself."""
        text = answer.text + str(answer.headers)
        if self.canary in text:
            return True
        sent = json.dumps([request.path, [*request.query.values()], request.json_body, request.form], default=str)
        said = sent + str(dict(request.headers))
        return any(key in text and key not in said for key in self.keys)


def _tells(value: object) -> bool:
    return isinstance(value, str) and len(value) >= SHORTEST and not value.isdecimal() and not _is_time(value)


def _is_time(value: str) -> bool:
    """``2026-11-22 21:00:00+00``: two tenants may well share a moment."""
    return value[:4].isdecimal() and value[4:5] == "-" and value[10:11] in (" ", "T", "")
