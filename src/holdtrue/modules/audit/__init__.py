"""The audit log: who did what to which thing, and what was refused; only ever appended to."""

from holdtrue.modules.audit.contract import CONTRACT, READ
from holdtrue.modules.audit.module import Audit

__all__ = ["CONTRACT", "READ", "Audit"]
