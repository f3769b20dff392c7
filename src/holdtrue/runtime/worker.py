"""The worker: procrastinate wakes it, the outbox and the inbox say what there is to do."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import procrastinate
import psycopg
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException, ProcrastinateException
from procrastinate.jobs import DeleteJobCondition
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Lane
from psycopg.errors import ForeignKeyViolation
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from holdtrue.contract import Job, Schedule
from holdtrue.runtime import outbox
from holdtrue.runtime.context import NO_TENANT, SYSTEM, Context
from holdtrue.runtime.outbox import Letter, Ref
from holdtrue.runtime.process import Process
from holdtrue.runtime.unit import UnitOfWork
from holdtrue.runtime.work import Backoff, Driver

log = logging.getLogger(__name__)

SHORTEST_REST, LONGEST_REST = 0.1, 5.0
"""Seconds between two attempts to reach a database that went away: doubled each time, and short again after success."""
HEARTBEAT = 60.0
"""Seconds between two rows of procrastinate that say that a worker is alive."""

_SWEEP = text("SELECT holdtrue_sweep(make_interval(secs => :grace), make_interval(secs => :keep))")
_DUE = text("SELECT box, tenant_id, id FROM holdtrue_due()")
_TURN = text("""
    INSERT INTO holdtrue_schedules AS old (name, slot) VALUES (:name, :slot)
    ON CONFLICT (name) DO UPDATE SET slot = excluded.slot WHERE old.slot < excluded.slot RETURNING slot""")
_ENROL = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s) ON CONFLICT DO NOTHING"""


class _Jobs(JobManager):
    """Lets a worker go on that was taken for dead, because it was suspended or its database was restored."""

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> procrastinate.jobs.Job | None:
        """Fetch; where the worker's own row is gone, which only a fetch that finds work is told, write it again."""
        try:
            return await super().fetch_job(queues, worker_id)
        except ConnectorException as error:
            if not isinstance(error.__cause__, ForeignKeyViolation):
                raise
        await self.connector.execute_query_async(_ENROL, worker_id=worker_id)
        return await super().fetch_job(queues, worker_id)


class _Connector(procrastinate.PsycopgConnector):
    """Has a worker look once more as soon as it listens: a wake between its last look and LISTEN reached nobody."""

    async def _loop_notify(self, on_notification: Notify, connection: psycopg.AsyncConnection, *timeout: float) -> None:
        await on_notification(channel="", payload=json.dumps({"type": "job_inserted"}))
        await super()._loop_notify(on_notification, connection, *timeout)


class Worker:
    """Any number of them on any number of machines."""

    def __init__(self, process: Process, *, dice: random.Random | None = None) -> None:
        self.process = process
        self._services = process.services
        self._settings = process.settings
        self._stop = asyncio.Event()
        self._doubt = asyncio.Event()
        """Something was left half done: look when its lease ends, and not only at the next regular sweep."""
        self.driver = Driver(
            self._services,
            lease=timedelta(seconds=self._settings.lease_seconds),
            backoff=Backoff(base=self._settings.backoff_seconds),
            dice=dice or random.Random(),  # noqa: S311  (spreads retries, guards nothing)
        )

    def stop(self) -> None:
        """Begin nothing new; ``run`` ends when what was begun is done, or after ``stop_seconds``."""
        self._stop.set()
        self._doubt.set()

    async def run(self) -> None:
        """Work until stopped. What fails for the database's sake is begun again when it answers."""
        names = sorted(self._services.registry.lanes)
        if not names:
            log.warning("nothing is bound to any job or event; the worker waits to be stopped")
        pool_size = 2 * len(names) + 2
        connector = _Connector(conninfo=self._conninfo(), min_size=1, max_size=pool_size)
        app = procrastinate.App(connector=connector)
        app.job_manager = _Jobs(connector)
        app.task(name="holdtrue.wake", queue="default")(self.wake)
        while not self._stop.is_set() and (trouble := await self.process.health.trouble()):
            log.warning("the worker waits: %s", trouble)
            await self._rest(1.0)
        if self._stop.is_set():
            return
        async with app.open_async():
            loops = [names] if self._settings.lanes_together else [[name] for name in names]
            lanes = [asyncio.create_task(self._lane(app, each)) for each in loops]
            await asyncio.gather(self._watch(), *lanes)

    def _conninfo(self) -> str:
        url = make_url(self.process.database_url)
        return url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def wake(self, box: outbox.Box, id: str, tenant: str | None = None) -> None:  # noqa: A002
        """What procrastinate calls: look at one row, and do what it says."""
        known = UUID(tenant) if tenant else NO_TENANT
        try:
            await self.driver.drive(Ref(box=box, tenant=None if known == NO_TENANT else known, id=UUID(id)))
        except (SQLAlchemyError, OSError):
            self._doubt.set()
            raise

    async def _lane(self, app: procrastinate.App, queues: list[str]) -> None:
        name = ",".join(queues)
        patience = SHORTEST_REST
        while not self._stop.is_set():
            began = asyncio.get_running_loop().time()
            lane = Lane(
                app,
                queues=queues,
                name=name,
                concurrency=self._settings.lane_concurrency,
                fetch_job_polling_interval=self._settings.poll_seconds,
                shutdown_graceful_timeout=self._settings.stop_seconds,
                # Nothing depends on these: who has a piece of work is told by its lease.
                update_heartbeat_interval=HEARTBEAT,
                stalled_worker_timeout=5 * HEARTBEAT,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,
            )
            running = asyncio.create_task(lane.run())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            lane.stop()
            stopping.cancel()
            try:
                await running
            except (ProcrastinateException, OSError) as error:
                log.warning("a lane lost the database: %s", _cause(error), extra={"lane": name})
                worked = asyncio.get_running_loop().time() - began > patience
                patience = SHORTEST_REST if worked else min(2 * patience, LONGEST_REST)
                await self._rest(patience)

    async def _watch(self) -> None:
        """Between sweeps: what a dead worker left, what a lost wake forgot, what a schedule wants."""
        while not self._stop.is_set():
            self._doubt.clear()
            pause = self._settings.sweep_seconds
            try:
                lapse = await self.sweep()
                pause = pause if lapse is None else min(pause, max(lapse, SHORTEST_REST))
                for schedule in self._services.registry.schedules:
                    await self.turn(schedule)
            except (SQLAlchemyError, OSError) as error:
                log.warning("the sweep found no database: %s", type(error).__name__)
                pause = min(pause, LONGEST_REST)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._doubt.wait(), pause)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def sweep(self) -> float | None:
        """Wake again what is due and was overlooked, forget what was done long ago; seconds until a lease ends."""
        grace = min(self._settings.lease_seconds, self._settings.sweep_seconds)
        async with self._unit() as unit:
            told = {"grace": grace, "keep": self._settings.keep_days * 86400}
            lapse: float | None = await unit.session.scalar(_SWEEP, told)
            return lapse

    async def turn(self, schedule: Schedule) -> None:
        """Enqueue a scheduled job if its time has come and no other worker did."""
        async with self._unit() as unit:
            slot = int(unit.now().timestamp() // schedule.every.total_seconds())
            if (await unit.session.execute(_TURN, {"name": schedule.job.name, "slot": slot})).first():
                await unit.enqueue(schedule.job, schedule.job.payload())

    async def enqueue(self, job: Job[Any]) -> None:
        """Have a job done now, with the defaults of its payload."""
        async with self._unit() as unit:
            await unit.enqueue(job, job.payload())

    async def drain(self) -> int:
        """Do everything that is due, oldest first, until nothing is; for tests and one-shot runs. How much was done."""
        done = 0
        while True:
            driven = [await self.driver.drive(ref) for ref in await self._due()]
            if not any(driven):
                return done
            done += sum(driven)

    async def _due(self) -> list[Ref]:
        async with self._unit() as unit:
            rows = (await unit.session.execute(_DUE)).all()
        return [
            Ref(box=row.box, tenant=None if row.tenant_id == NO_TENANT else row.tenant_id, id=row.id) for row in rows
        ]

    async def letters(self) -> list[Letter]:
        """What is dead or of unknown outcome."""
        async with self._unit() as unit:
            return await outbox.letters(unit.session)

    async def requeue(self, letter: Letter) -> bool:
        """Give a letter a new start, under the same key. It is in the audit log of its tenant."""
        context = Context(principal=SYSTEM, tenant=letter.ref.tenant, request_id=f"requeue-{uuid4()}")
        async with self._services.unit(context) as unit:
            revived = await outbox.requeue(unit.session, letter.ref)
            if revived:
                unit.record("work.requeued", subject=str(letter.ref.id), details={"job": letter.job})
            return revived

    def _unit(self) -> UnitOfWork:
        return self._services.unit(
            Context(principal=SYSTEM, request_id=f"worker-{uuid4()}", clock=self._services.clock)
        )


def _cause(error: BaseException) -> str:
    """procrastinate says "Database error."; what it was stands behind."""
    behind = error.__cause__ or error
    return f"{type(behind).__name__}: {str(behind).partition(chr(10))[0]}"
