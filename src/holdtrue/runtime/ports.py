"""The four places that a module fills for all others, without either knowing the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Executable

from holdtrue.contract import MailTemplate
from holdtrue.runtime.context import Principal

if TYPE_CHECKING:
    from holdtrue.runtime.unit import UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a request brings to say who sends it; header names are in lower case."""

    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    host: str


NO_CREDENTIALS = Credentials(headers={}, cookies={}, host="")


@dataclass(frozen=True, kw_only=True)
class AuditFact:
    """One row of the audit log: who did what to which thing, and whether it was allowed."""

    id: UUID
    tenant: UUID | None
    """None for what happens in no tenant, such as the sign-up of somebody who is in none yet."""
    action: str
    outcome: Literal["done", "denied"]
    subject: str
    principal: Principal
    on_behalf_of: Principal | None
    request_id: str
    details: Mapping[str, Any]


class Authenticator(Protocol):
    """Filled by auth: None means that nobody claims to be anybody; raises ``Unauthorized`` for a wrong credential."""

    async def __call__(self, unit: UnitOfWork, credentials: Credentials) -> Principal | None: ...


class Tenants(Protocol):
    """Filled by tenancy: enters the tenant (``unit.enter``) and returns the permissions held in it now.

    None means that the principal is in no tenant here.
    """

    async def __call__(
        self, unit: UnitOfWork, principal: Principal, credentials: Credentials
    ) -> frozenset[str] | None: ...


class Mailer(Protocol):
    """Filled by email: renders in the transaction, and enqueues."""

    async def __call__(self, unit: UnitOfWork, template: MailTemplate, to: str, payload: BaseModel) -> None: ...


Statement = tuple[Executable, Sequence[Mapping[str, Any]]]
"""One that is compiled once, and what differs: its parameters, for each time that it is to be executed."""


class Recorder(Protocol):
    """Filled by audit: the statements that keep these facts, all of one transaction, of one tenant or of none."""

    def __call__(self, facts: Sequence[AuditFact]) -> Sequence[Statement]: ...
