"""The unit of work: one transaction for one tenant, and everything that must be kept with it or not at all.

Events, the outbox and the audit log are written in the transaction of the change. The connection is taken at the first
statement and given back at the commit; the tenant is entered as the transaction begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID
from weakref import ref

from pydantic import BaseModel
from sqlalchemy import Connection, Row, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from holdtrue.contract import Bindable, Event, Guard, Job, MailTemplate, Observe, Transform
from holdtrue.runtime import outbox
from holdtrue.runtime.context import NO_TENANT, Clock, Context, Principal, utc_now, uuid7
from holdtrue.runtime.database import Database, UnitSession, last_statements
from holdtrue.runtime.faults import Fault
from holdtrue.runtime.models import TenantRow
from holdtrue.runtime.ports import NO_CREDENTIALS, AuditFact
from holdtrue.runtime.refusals import Refused
from holdtrue.runtime.registry import Registry, work_name

P = TypeVar("P", bound=BaseModel)
T = TypeVar("T")

_ENTER = "SELECT enter_tenant(%(tenant)s)"
_open: ContextVar[UnitOfWork | None] = ContextVar("holdtrue_open_unit", default=None)
"""Not how anything finds its unit: only how a provider call, or a second unit, notices an open one around it."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a process has, made once as it starts."""

    registry: Registry
    database: Database
    ports: dict[type, Any] = field(default_factory=dict)
    clock: Clock = utc_now

    def unit(self, context: Context) -> UnitOfWork:
        """A unit of work; use it as ``async with``."""
        return UnitOfWork(self, context)

    def port(self, kind: type[T]) -> T:
        """The instance of a module's ports or settings that was made as the process started."""
        try:
            found: T = self.ports[kind]
        except KeyError:
            raise Fault(
                "NO_SUCH_PORT",
                f"nobody provides {kind.__module__}.{kind.__qualname__}",
                do=f"Provided are: {', '.join(sorted(each.__qualname__ for each in self.ports)) or 'none'}.",
            ) from None
        return found


class UnitOfWork:
    """Commits when its block ends, and rolls back when the block raises. Not for use by two tasks at once."""

    def __init__(self, services: Services, context: Context) -> None:
        self._services = services
        self._context = context
        self._pending: list[dict[str, Any]] = []
        self._facts: list[AuditFact] = []
        self.emitted: list[Event[Any]] = []
        """What this unit emitted so far, for ``flow``."""
        self.flows: list[tuple[Event[Any], ...]] = []
        """What the flows under way declare, the innermost last."""
        self.credentials = NO_CREDENTIALS
        """What the request brought; empty where there is none."""
        self.session: AsyncSession = services.database.session(unit=ref(self))

    # Who, for whom, when -----------------------------------------------------------------------------------------

    @property
    def context(self) -> Context:
        """Who acts, for whom, and in what request."""
        return self._context

    @property
    def tenant(self) -> UUID:
        """The tenant entered.

        Raises:
            Fault: NO_TENANT, there is none.
        """
        if self._context.tenant is None:
            raise Fault(
                "NO_TENANT",
                "this unit of work has entered no tenant",
                why="Without one, row-level security shows no row of any tenant.",
                do="Give the route a permission, or call unit.enter(tenant_id) once it is known.",
            )
        return self._context.tenant

    def now(self) -> datetime:
        """The time by the context's clock."""
        return self._context.clock()

    def port(self, kind: type[T]) -> T:
        """A module's ports or settings."""
        return self._services.port(kind)

    def identify(self, principal: Principal) -> None:
        """Say who acts, once a credential was verified."""
        self._context = replace(self._context, principal=principal)

    @property
    def permissions(self) -> frozenset[str]:
        """All permissions that the composed modules declare."""
        return self._services.registry.permissions

    async def standing(self, principal: Principal) -> frozenset[str] | None:
        """What a principal holds now where the request's credentials lead it: its tenant is entered.

        None means that it is in no tenant here. A credential's own limits are already taken into account.
        """
        tenants = self._services.registry.tenants
        if tenants is None:
            return principal.permissions
        granted = await tenants(self, principal, self.credentials)
        return granted if granted is None or principal.permissions is None else granted & principal.permissions

    async def enter(self, tenant: UUID) -> None:
        """Narrow this unit to one tenant, for good.

        Raises:
            Fault: TENANT_ALREADY_ENTERED, it is in another one.
        """
        if self._context.tenant not in (None, tenant) or tenant == NO_TENANT:
            raise Fault(
                "TENANT_ALREADY_ENTERED",
                f"this unit of work is in tenant {self._context.tenant} and was asked to enter {tenant}",
                why="A unit that changes tenant carries the one's rows to the other.",
                do="Use a unit of work for each tenant.",
            )
        if self._context.tenant == tenant:
            return
        await self._leave_nothing_owed()
        self._context = replace(self._context, tenant=tenant)
        if self.session.in_transaction():
            await (await self.session.connection()).exec_driver_sql(_ENTER, {"tenant": tenant})

    async def enter_by(self, question: str, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Narrow this unit to the tenant to which a question leads, where asking and entering is one statement.

        The question is SQL with psycopg's placeholders (``%(name)s``). It calls ``enter_tenant`` itself and returns
        what that returned as ``entered``, or null. The database refuses it where this unit is in another tenant.
        """

        def ask(session: Session) -> Sequence[Row[Any]]:
            return session.connection().exec_driver_sql(question, dict(values)).all()

        await self._leave_nothing_owed()
        rows = await self.session.run_sync(ask)
        for row in rows:
            if row.entered is not None:
                self._context = replace(self._context, tenant=row.entered)
        return rows

    async def _leave_nothing_owed(self) -> None:
        """What was owed before a tenant is entered belongs to none, as the rows that it is about."""
        await self._put_pending()
        if self.session.in_transaction():
            await self.session.flush()

    # What is kept with the change ---------------------------------------------------------------------------------

    async def emit(self, what: Event[P], payload: P) -> None:
        """Say that something happened: its consumers and the audit log learn of it if this unit commits.

        Raises:
            Fault: EVENT_UNKNOWN, EVENT_NOT_DECLARED or WRONG_PAYLOAD.
        """
        _typed(what, payload)
        if what not in self._services.registry.events:
            raise Fault(
                "EVENT_UNKNOWN",
                f"{what.name} is in no composed module's contract",
                why="What the contract does not name nobody can rely on.",
                do=f"Add it to events of the contract of {what.module}.",
            )
        if self.flows and not any(what in declared for declared in self.flows):
            raise Fault(
                "EVENT_NOT_DECLARED",
                f"{what.name} is emitted by a flow that does not declare it",
                do="Add it to @flow(emits=(…)).",
            )
        self.emitted.append(what)
        self._defer(what, payload)
        if what.audited:
            subject = str(getattr(payload, what.subject))
            self.record(what.name, subject=subject, details=payload.model_dump(mode="json"))

    def record(
        self, action: str, *, subject: str = "", denied: bool = False, details: dict[str, Any] | None = None
    ) -> None:
        """Keep a row in the audit log for what no event tells of, such as a denial."""
        fact = AuditFact(
            id=uuid7(),
            tenant=self._context.tenant,
            action=action,
            outcome="denied" if denied else "done",
            subject=subject,
            principal=self._context.principal,
            on_behalf_of=self._context.on_behalf_of,
            request_id=self._context.request_id,
            details=details or {},
        )
        self._facts.append(fact)

    async def guard(self, hook: Guard[P], payload: P) -> None:
        """Ask everybody bound to it; one who refuses ends the request."""
        _typed(hook, payload)
        for binding in self._services.registry.bound_to(hook):
            await binding.function(self, payload)

    async def transform(self, hook: Transform[P], payload: P) -> P:
        """Let everybody bound to it change the payload, one after the other."""
        _typed(hook, payload)
        for binding in self._services.registry.bound_to(hook):
            payload = await binding.function(self, payload)
            _typed(hook, payload)
        return payload

    async def observe(self, hook: Observe[P], payload: P) -> None:
        """Let everybody bound to it know after the commit."""
        _typed(hook, payload)
        self._defer(hook, payload)

    async def enqueue(self, job: Job[P], payload: P, *, key: str | None = None, delay: timedelta | None = None) -> None:
        """Have the worker do it after the commit; with a key at most once in this tenant."""
        _typed(job, payload)
        self._defer(job, payload, key=key, delay=delay)

    async def receive(self, job: Job[P], payload: P, *, key: str) -> bool:
        """Take something in from outside, once for each key; True when it is new or was given up before.

        A concurrent delivery of the same key waits here until the first commits, and takes over should it roll back.
        """
        _typed(job, payload)
        return await outbox.receive(self.session, self._row(job.name, payload, key))

    async def mail(self, template: MailTemplate, *, to: str, payload: BaseModel) -> None:
        """Owe somebody a mail: rendered now, sent after the commit.

        Raises:
            Fault: MAIL_UNKNOWN, WRONG_PAYLOAD or NO_MAILER.
        """
        registry = self._services.registry
        if template not in registry.mails or registry.mailer is None:
            raise Fault("MAIL_UNKNOWN", f"{template.name} is in no composed module's contract", do="Add it to mails.")
        if not isinstance(payload, template.payload):
            raise _wrong(template.name, template.payload, payload)
        await registry.mailer(self, template, to, payload)

    def _defer(self, target: Bindable[Any], payload: BaseModel, **more: Any) -> None:
        for binding in self._services.registry.bound_to(target):
            self._pending.append(self._row(work_name(binding), payload, **more))

    def _row(
        self, name: str, payload: BaseModel, key: str | None = None, delay: timedelta | None = None
    ) -> dict[str, Any]:
        handler = self._services.registry.handlers[name]
        principal = self._context.on_behalf_of or self._context.principal
        return {
            "id": uuid7(),
            "job": name,
            "key": key,
            "lane": handler.lane,
            "payload": payload.model_dump(mode="json"),
            "origin": {"kind": principal.kind, "id": principal.id, "request_id": self._context.request_id},
            "delay": delay or timedelta(),
        }

    # The transaction ---------------------------------------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        """Whether a connection is held."""
        return self.session.in_transaction()

    async def commit(self) -> None:
        """Keep everything, and give the connection back. The unit can go on in a new transaction of the same tenant."""
        session = self.session.sync_session
        if not (session.in_transaction() or self._pending or self._facts or session.new):
            return
        recorder = self._services.registry.recorder
        # A transaction has one tenant, also for what was recorded before it was known.
        facts = [replace(fact, tenant=self._context.tenant) for fact in self._facts]
        statements = recorder(facts) if facts and recorder is not None else ()

        owed, self._pending, self._facts = self._pending, [], []

        def keep(session: Session) -> None:
            if owed or statements or session.new:
                connection = session.connection()
                last_statements(connection)
                session.flush()
                if owed:
                    outbox.put(connection, self._context.tenant, owed)
                for statement, rows in statements:
                    connection.execute(statement, rows)
            session.commit()

        await self.session.run_sync(keep)

    async def _put_pending(self) -> None:
        if self._pending:
            connection = await self.session.connection()
            await connection.run_sync(outbox.put, self._context.tenant, self._pending)
            self._pending = []

    async def rollback(self) -> None:
        """Keep nothing since the last commit."""
        self._pending, self._facts = [], []
        await self.session.rollback()

    @asynccontextmanager
    async def outside(self, provider: str) -> AsyncIterator[None]:
        """Commit what there is, and call a provider with no transaction open: a lock would outlast its slowness.

        Commit an intent first: after a crash in the block, that row is all that tells of the call.
        """
        await self.commit()
        yield
        if self.in_transaction:
            raise _inside(provider)

    async def __aenter__(self) -> UnitOfWork:
        if (other := _open.get()) is not None:
            raise Fault(
                "UNIT_INSIDE_UNIT",
                f"a unit of work is opened inside that of request {other.context.request_id}",
                why="Two connections for one request: under load every request waits for a second one.",
                do="Hand the unit on as an argument.",
            )
        self._token = _open.set(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if error is None or (isinstance(error, Refused) and error.keep):
                await self.commit()
        finally:
            _open.reset(self._token)
            self._pending, self._facts = [], []
            if self.session.in_transaction():
                await self.session.close()


@event.listens_for(UnitSession, "after_begin")
def _enter_as_it_begins(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    tenant = session.info["unit"]().context.tenant
    if tenant is not None and transaction.parent is None:
        connection.exec_driver_sql(_ENTER, {"tenant": tenant})


@event.listens_for(UnitSession, "before_flush")
def _fill_tenant(session: Session, *_: object) -> None:
    for row in session.new:
        if isinstance(row, TenantRow) and row.tenant_id is None:
            row.tenant_id = session.info["unit"]().tenant


def require_outside(provider: str) -> None:
    """The first line of every adapter that calls a provider.

    Raises:
        Fault: PROVIDER_CALL_IN_TRANSACTION.
    """
    unit = _open.get()
    if unit is not None and unit.in_transaction:
        raise _inside(provider)


def _inside(provider: str) -> Fault:
    return Fault(
        "PROVIDER_CALL_IN_TRANSACTION",
        f"{provider} is called while a transaction is open",
        why="A slow provider would hold row locks and a connection; a rollback could not take the call back.",
        do=f'Commit an intent, then call inside "async with unit.outside({provider!r})", or enqueue a job.',
    )


def _typed(target: Bindable[Any], payload: object) -> None:
    if not isinstance(payload, target.payload):
        raise _wrong(target.name, target.payload, payload)


def _wrong(name: str, wanted: type, got: object) -> Fault:
    return Fault("WRONG_PAYLOAD", f"{name} takes {wanted.__name__}, and was given {type(got).__name__}")
