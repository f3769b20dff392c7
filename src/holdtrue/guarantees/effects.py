"""What an attempt did, compared with what its positive twin does: the difference between refused and done."""

from __future__ import annotations

from holdtrue.contract.document import Document
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.database import Difference
from holdtrue.stage.scene import Twin
from holdtrue.stage.tables import listed, qualified_all


def business_tables(difference: Difference | None, document: Document) -> frozenset[str]:
    """The tables a difference touches, without the audit trail: a denial may be recorded, too."""
    audit = qualified_all(document.audit.tables if document.audit else ())
    return frozenset(difference.tables if difference else ()) - audit


def done(stage: Stage, answer: Answer, rows: Difference | None, twin: Twin, tenant: str) -> str | None:
    """Say in words what an attempt that had to be refused achieved, or None when it achieved nothing.

    A 2xx alone is no harm: a page may answer 200 with a login form. Harm is a change of what the twin changes, the
    twin's own answer, or the tenant's data in the answer.
    """
    changed = business_tables(rows, stage.document) & business_tables(twin.rows, stage.document)
    if changed:
        return f"it was answered {answer.describe()} and changed {listed(changed)}"
    if answer.admitted and stage.cast.canary(tenant) in answer.text:
        return f"it was answered {answer.describe()} with the tenant's data"
    if answer.admitted and answer.body and answer.body == twin.answer.body:
        return f"it was answered {answer.describe()} with the very answer of somebody who may ask"
    return None
