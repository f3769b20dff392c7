"""What runs under traffic: the unit of work, the outbox and its worker, migrations, and the web."""

from holdtrue.runtime.context import Clock, Context, Principal, utc_now, uuid7
from holdtrue.runtime.faults import Fault, Faults
from holdtrue.runtime.flows import flow
from holdtrue.runtime.models import Model, Row, TenantRow
from holdtrue.runtime.module import Module
from holdtrue.runtime.ports import AuditFact, Credentials
from holdtrue.runtime.refusals import (
    Conflict,
    Forbidden,
    NotFound,
    ProviderTrouble,
    Refused,
    TooMany,
    Unauthorized,
    Unavailable,
    Unprocessable,
)
from holdtrue.runtime.rows import Before, Limit, newest_first, own
from holdtrue.runtime.settings import ModuleSettings, SecretKey, prefix
from holdtrue.runtime.unit import UnitOfWork, require_outside
from holdtrue.runtime.web.router import RawBody, Router, Unit
from holdtrue.runtime.work import GiveUp, Unknown, Work

__all__ = [
    "AuditFact",
    "Before",
    "Clock",
    "Conflict",
    "Context",
    "Credentials",
    "Fault",
    "Faults",
    "Forbidden",
    "GiveUp",
    "Limit",
    "Model",
    "Module",
    "ModuleSettings",
    "NotFound",
    "Principal",
    "ProviderTrouble",
    "RawBody",
    "Refused",
    "Router",
    "Row",
    "SecretKey",
    "TenantRow",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unit",
    "UnitOfWork",
    "Unknown",
    "Unprocessable",
    "Work",
    "flow",
    "newest_first",
    "own",
    "prefix",
    "require_outside",
    "utc_now",
    "uuid7",
]
