"""A piece of work in the hands of the worker, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError

from holdtrue.runtime import outbox
from holdtrue.runtime.context import Context, Principal
from holdtrue.runtime.faults import Fault
from holdtrue.runtime.outbox import Claimed, Ref
from holdtrue.runtime.registry import Handler
from holdtrue.runtime.unit import Services, UnitOfWork

T = TypeVar("T")
log = logging.getLogger(__name__)


class GiveUp(Exception):  # noqa: N818  (an outcome)
    """It will never succeed: a dead letter at once."""


class Unknown(Exception):  # noqa: N818  (an outcome)
    """Nobody knows whether the provider did it: tried again under the same key, or held, as the job declares."""


class LeaseLost(Exception):  # noqa: N818  (an outcome)
    """Another worker took over, because this one was silent for longer than its lease."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Exponential with full jitter, so that what failed together does not come back together. Seconds."""

    base: float = 5.0
    longest: float = 6 * 3600.0

    def wait(self, attempts: int, dice: random.Random) -> timedelta:
        """How long to wait after so many attempts: anything up to the exponential, so half of it on average."""
        ceiling = min(self.base * 2.0 ** min(attempts - 1, 40), self.longest)
        return timedelta(seconds=dice.uniform(0, ceiling))


class Work:
    """What a handler gets. No transaction is open between its units: that is where a provider may be called."""

    def __init__(self, services: Services, claimed: Claimed, request_id: str) -> None:
        self._services = services
        self._claimed = claimed
        self.finished = False
        self.context = Context(
            principal=Principal(kind="system", id=claimed.job),
            tenant=claimed.ref.tenant,
            request_id=request_id,
            clock=services.clock,
            on_behalf_of=self.origin,
        )

    @property
    def key(self) -> str:
        """The idempotency key: the same in every attempt, different for all other work."""
        return str(self._claimed.ref.id)

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._claimed.attempts

    @property
    def interrupted(self) -> bool:
        """Whether a worker died in the attempt before: what it did outside the database is unknown."""
        return self._claimed.interrupted

    @property
    def origin(self) -> Principal:
        """Who caused it."""
        origin = self._claimed.origin
        return Principal(kind=origin["kind"], id=origin["id"])  # type: ignore[arg-type]  # written by the unit of work

    def port(self, kind: type[T]) -> T:
        """A module's ports or settings."""
        return self._services.port(kind)

    @asynccontextmanager
    async def unit(self, *, tenant: UUID | None = None) -> AsyncIterator[UnitOfWork]:
        """A unit of work of its own, in the tenant of the work or in the one found for it."""
        async with self._services.unit(self._inside(tenant)) as unit:
            yield unit

    @asynccontextmanager
    async def finish(self, *, tenant: UUID | None = None) -> AsyncIterator[UnitOfWork]:
        """The last unit of work: its commit also marks the work done, so what it writes is written once.

        Raises:
            LeaseLost: another worker has it by now; nothing is kept.
        """
        target = self._inside(tenant)
        async with self._services.unit(self.context) as unit:
            if not await outbox.settle(unit.session, self._claimed, state="done", done_at=func.now(), error=None):
                raise LeaseLost
            if target.tenant is not None:
                await unit.enter(target.tenant)
            yield unit
        self.finished = True

    def _inside(self, tenant: UUID | None) -> Context:
        if tenant is None or tenant == self.context.tenant:
            return self.context
        if self.context.tenant is not None:
            raise Fault("TENANT_ALREADY_ENTERED", f"work of tenant {self.context.tenant} was asked to act in {tenant}")
        return replace(self.context, tenant=tenant)


class Driver:
    """Takes one piece of work through one attempt."""

    def __init__(self, services: Services, *, lease: timedelta, backoff: Backoff, dice: random.Random) -> None:
        self._services = services
        self._lease = lease
        self._backoff = backoff
        self._dice = dice

    async def drive(self, ref: Ref) -> bool:
        """Claim it, do it, note the outcome. False when it is not due, or somebody else has it."""
        claimed = await self._claim(ref)
        if claimed is None:
            return False
        handler = self._services.registry.handlers.get(claimed.job)
        if handler is None:
            await self._note(claimed, state="dead", error=f"nobody handles {claimed.job}")
            return True
        if claimed.interrupted and handler.unknown == "hold":
            await self._note(claimed, state="unknown", due_at=None, error="the worker died in the attempt before")
            return True
        if claimed.attempts > handler.attempts:
            await self._note(claimed, state="dead", error="the worker died in its last attempt")
            return True
        await self._attempt(handler, claimed)
        return True

    async def _attempt(self, handler: Handler, claimed: Claimed) -> None:
        work = Work(self._services, claimed, f"{claimed.ref.id}-{claimed.attempts}")
        extra = {"job": claimed.job, "work": work.key, "attempt": work.attempt, "tenant": str(claimed.ref.tenant or "")}
        try:
            payload = handler.payload.model_validate(claimed.payload)
            async with self._kept(claimed):
                await handler.function(work, payload)
            if not work.finished:
                async with work.finish():
                    pass
        except LeaseLost:
            log.warning("another worker took over", extra=extra)
        except GiveUp as error:
            log.warning("given up: %s", error, extra=extra)
            await self._note(claimed, state="dead", error=str(error))
        except Unknown as error:
            log.warning("the outcome is unknown: %s", error, extra=extra)
            await self._again(handler, claimed, "unknown", str(error))
        except Exception as error:  # the worker's edge: one piece of work must not stop the others
            log.exception("an attempt failed", extra=extra)
            await self._again(handler, claimed, "queued", type(error).__name__)
        else:
            log.info("done", extra=extra)

    async def _again(self, handler: Handler, claimed: Claimed, state: str, error: str) -> None:
        if state == "unknown" and handler.unknown == "hold":
            await self._note(claimed, state="unknown", due_at=None, error=error)
        elif claimed.attempts >= handler.attempts:
            await self._note(claimed, state="unknown" if state == "unknown" else "dead", due_at=None, error=error)
        else:
            wait = self._backoff.wait(claimed.attempts, self._dice)
            await self._note(claimed, state=state, due_at=func.now() + wait, error=error)

    async def _claim(self, ref: Ref) -> Claimed | None:
        async with self._services.unit(self._bare(ref)) as unit:
            return await outbox.claim(unit.session, ref, self._lease)

    async def _note(self, claimed: Claimed, **values: Any) -> None:
        values["error"] = (values.get("error") or "")[:500]
        async with self._services.unit(self._bare(claimed.ref)) as unit:
            await outbox.settle(unit.session, claimed, **values)

    def _bare(self, ref: Ref) -> Context:
        return Context(tenant=ref.tenant, request_id=str(ref.id), clock=self._services.clock)

    @asynccontextmanager
    async def _kept(self, claimed: Claimed) -> AsyncIterator[None]:
        """Renews the lease as long as the attempt runs, in a task of its own."""
        over = asyncio.Event()
        keeper = asyncio.create_task(self._keep(claimed, over))
        try:
            yield
        finally:
            over.set()
            await keeper

    async def _keep(self, claimed: Claimed, over: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._lease.total_seconds() / 3)
                return
            try:
                async with self._services.unit(self._bare(claimed.ref)) as unit:
                    await outbox.renew(unit.session, claimed, self._lease)
            except SQLAlchemyError as error:
                log.warning(
                    "a lease could not be renewed: %s", type(error).__name__, extra={"work": str(claimed.ref.id)}
                )
