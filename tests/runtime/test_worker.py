"""The worker as a deployment runs it: woken by the database, killed, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.manager import JobManager
from tower.deployed import assembly as deployed
from tower.notes import IMPORT, INDEX, SEEN, Imported, NoteAdded, Notes, Provider

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.contract import Contract, Job, Payload, Schedule
from holdtrue.runtime import Module, Work
from holdtrue.runtime.worker import Worker

A = UUID(int=0xA)
ADDED = NoteAdded(note_id=UUID(int=1), title="t")
QUICK = {"HOLDTRUE_POLL_SECONDS": "0.2", "HOLDTRUE_SWEEP_SECONDS": "0.2", "HOLDTRUE_LEASE_SECONDS": "0.6"}
TESTS = Path(__file__).parents[1]


class Asked:
    """The search provider on a socket: it is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[tuple[str, asyncio.StreamWriter]] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        await self.lines.put((line.decode().strip(), writer))
        await reader.read()
        writer.close()

    async def next(self) -> tuple[str, asyncio.StreamWriter]:
        return await self.lines.get()


@asynccontextmanager
async def provider() -> AsyncIterator[tuple[Asked, str]]:
    asked = Asked()
    server = await asyncio.start_server(asked.serve, "127.0.0.1", 0)
    async with server:
        yield asked, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def worker_process(kit: Kit, search: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = QUICK | {
        "DATABASE_URL": kit.urls.app,
        "WORKER_DATABASE_URL": kit.urls.worker,
        "NOTES_SEARCH_URL": search,
        "PYTHONPATH": str(TESTS),
        "PATH": os.environ["PATH"],
    }
    command = (sys.executable, "-m", "holdtrue.assembly", "worker", "tower.deployed:assembly")
    process = await asyncio.create_subprocess_exec(*command, env=environ, stderr=None)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def settled(kit: Kit) -> None:
    """Wait until the database says that all work is done."""
    undone = "SELECT id FROM holdtrue_outbox WHERE state <> 'done'"
    async with await psycopg.AsyncConnection.connect(kit.urls.superuser, autocommit=True) as connection:
        await connection.execute("LISTEN settled")
        while await kit.sql(undone):
            async for _ in connection.notifies(stop_after=1):
                pass


TELL = """
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('settled', ''); RETURN NULL; END $$;
    CREATE TRIGGER tell AFTER UPDATE ON holdtrue_outbox FOR EACH ROW EXECUTE FUNCTION tell()"""


async def test_the_work_of_a_killed_worker_is_done_by_the_next_and_only_once(postgres: Postgres) -> None:
    async with provider() as (asked, address), running(deployed, postgres) as kit:
        await kit.sql(TELL)
        async with kit.unit(tenant=A) as unit:
            await unit.enqueue(INDEX, ADDED)
        async with worker_process(kit, address) as first:
            question, _ = await asked.next()
            first.send_signal(signal.SIGKILL)
            await first.wait()
        async with worker_process(kit, address) as second:
            again, writer = await asked.next()
            writer.write(b"yes\n")
            await settled(kit)
            assert second.returncode is None
        assert again == question
        [row] = await kit.sql("SELECT * FROM holdtrue_outbox")
        assert (row["state"], row["attempts"]) == ("done", 2)
        assert [note["title"] for note in await kit.sql("SELECT title FROM notes")] == ["indexed t"]
        assert await kit.sql("SELECT * FROM procrastinate_jobs WHERE status = 'todo'") == []


async def test_a_stopped_worker_finishes_what_it_has_begun(postgres: Postgres) -> None:
    async with provider() as (asked, address), running(deployed, postgres) as kit:
        async with kit.unit(tenant=A) as unit:
            await unit.enqueue(INDEX, ADDED)
        async with worker_process(kit, address) as process:
            _, writer = await asked.next()
            process.send_signal(signal.SIGTERM)
            writer.write(b"yes\n")
            _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
        [row] = await kit.sql("SELECT * FROM holdtrue_outbox")
        assert (row["state"], row["attempts"]) == ("done", 1)


@asynccontextmanager
async def at_work(kit: Kit) -> AsyncIterator[Worker]:
    """A worker that runs in this process until the block ends."""
    worker = Worker(kit.worker.process)
    running_worker = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running_worker


async def test_a_worker_is_woken_by_the_commit(postgres: Postgres) -> None:
    """Polling and sweeping are far away: only the wake in the transaction can bring it."""
    slow = {"HOLDTRUE_POLL_SECONDS": "3000", "HOLDTRUE_SWEEP_SECONDS": "3000"}
    done = asyncio.Event()

    async def watch(work: Work, payload: NoteAdded) -> None:
        done.set()

    assembly = compose(Notes(), Doors(), bindings=[SEEN.bind(watch)])
    async with running(assembly, postgres, environ=slow) as kit, at_work(kit):
        async with kit.unit(tenant=A) as unit:
            await unit.observe(SEEN, ADDED)
        await done.wait()


async def test_a_worker_does_what_was_enqueued_before_it_listened(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears a wake between the first look and LISTEN, and polling and sweeping are far away."""
    slow = {"HOLDTRUE_POLL_SECONDS": "3000", "HOLDTRUE_SWEEP_SECONDS": "3000"}
    looked, may_listen, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    fetch, listen = JobManager.fetch_job, PsycopgConnector.listen_notify

    async def fetching(self: JobManager, queues: Iterable[str] | None, worker_id: int) -> object:
        job = await fetch(self, queues, worker_id)
        looked.set()
        return job

    async def listening(self: PsycopgConnector, on_notification: Notify, channels: Iterable[str]) -> None:
        await may_listen.wait()
        await listen(self, on_notification, channels)

    async def watch(work: Work, payload: NoteAdded) -> None:
        done.set()

    monkeypatch.setattr(JobManager, "fetch_job", fetching)
    monkeypatch.setattr(PsycopgConnector, "listen_notify", listening)
    assembly = compose(Notes(), Doors(), bindings=[SEEN.bind(watch)])
    async with running(assembly, postgres, environ=slow | {"HOLDTRUE_LANES_TOGETHER": "true"}) as kit, at_work(kit):
        await looked.wait()
        async with kit.unit(tenant=A) as unit:
            await unit.observe(SEEN, ADDED)
        may_listen.set()
        await done.wait()


async def test_lanes_do_not_wait_for_each_other(postgres: Postgres) -> None:
    seen = asyncio.Event()

    async def watch(work: Work, payload: NoteAdded) -> None:
        seen.set()

    assembly = compose(Notes(), Doors(), bindings=[SEEN.bind(watch)])
    environ = QUICK | {"HOLDTRUE_LANE_CONCURRENCY": "1", "HOLDTRUE_LEASE_SECONDS": "60"}
    async with running(assembly, postgres, environ=environ) as kit:
        search = kit.worker.process.services.port(Provider).search
        search.free = asyncio.Event()
        async with at_work(kit):
            async with kit.unit(tenant=A) as unit:
                await unit.enqueue(INDEX, ADDED)
            await search.begun.wait()
            async with kit.unit(tenant=A) as unit:
                await unit.observe(SEEN, ADDED)
            await seen.wait()
            search.free.set()


class Errand(Payload):
    what: str = "anything"


@pytest.mark.parametrize(("together", "loops"), [("false", 3), ("true", 1)])
async def test_lanes_may_share_one_loop_which_does_the_work_of_all(
    postgres: Postgres, together: str, loops: int
) -> None:
    lanes = ("land", "sea", "air")
    jobs = [Job(name=f"errands.{lane}", payload=Errand, lane=lane) for lane in lanes]
    ran: asyncio.Queue[str] = asyncio.Queue()

    async def run(work: Work, payload: Errand) -> None:
        await ran.put(payload.what)

    errands = Module(
        contract=Contract(name="errands", version="1.0.0", jobs=tuple(jobs)), bindings=[job.bind(run) for job in jobs]
    )
    environ = {"HOLDTRUE_LANES_TOGETHER": together, "HOLDTRUE_POLL_SECONDS": "3000", "HOLDTRUE_SWEEP_SECONDS": "3000"}
    async with running(compose(errands, Doors()), postgres, environ=environ) as kit, at_work(kit):
        async with kit.unit(tenant=A) as unit:
            for job, lane in zip(jobs, lanes, strict=True):
                await unit.enqueue(job, Errand(what=lane))
        assert {await ran.get() for _ in lanes} == set(lanes)
        # Each loop registers before it looks for work.
        [workers] = await kit.sql("SELECT count(*) FROM procrastinate_workers")
        assert workers["count"] == loops


async def test_a_worker_that_was_taken_for_dead_goes_on(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    """Another one removes its row when it was suspended for long; a backup that is restored never had it."""
    environ = {"HOLDTRUE_POLL_SECONDS": "3000", "HOLDTRUE_SWEEP_SECONDS": "3000", "HOLDTRUE_LANES_TOGETHER": "true"}
    async with running(compose(Notes(), Doors()), postgres, environ=environ) as kit:
        search = kit.worker.process.services.port(Provider).search
        async with at_work(kit):
            for _ in range(2):
                search.begun.clear()
                async with kit.unit(tenant=A) as unit:
                    await unit.enqueue(INDEX, ADDED)
                await search.begun.wait()
                known = await kit.sql("SELECT id FROM procrastinate_workers")
                assert len(known) == 1
                await kit.sql("DELETE FROM procrastinate_workers")
        assert known == [{"id": 1}], "under the number that it had"
        assert "lost the database" not in caplog.text


async def test_a_sweep_tells_when_the_next_lease_ends(postgres: Postgres) -> None:
    async with running(deployed, postgres) as kit:
        assert await kit.worker.sweep() is None
        async with kit.unit(tenant=A) as unit:
            for _ in range(3):
                await unit.enqueue(INDEX, ADDED)
        async with kit.unit() as unit:
            await unit.receive(IMPORT, key="1", payload=Imported(external_id=str(A)))
        assert await kit.worker.sweep() is None, "what nobody has begun has no lease"
        await kit.sql("UPDATE holdtrue_outbox SET state = 'running', lease_until = now() + interval '2000 s'")
        assert 1000 < (await kit.worker.sweep() or 0) <= 2000
        await kit.sql("UPDATE holdtrue_inbox SET state = 'running', lease_until = now() + interval '1000 s'")
        assert 0 < (await kit.worker.sweep() or 0) <= 1000
        await kit.sql("UPDATE holdtrue_inbox SET lease_until = now() - interval '1 s'")
        assert 1000 < (await kit.worker.sweep() or 0) <= 2000, "a lease that ended is not waited for"


async def test_what_a_dead_worker_left_is_taken_up_when_its_lease_ends(postgres: Postgres) -> None:
    """The next regular sweep is far away, and so is the next poll."""
    environ = {"HOLDTRUE_POLL_SECONDS": "3000", "HOLDTRUE_SWEEP_SECONDS": "3000", "HOLDTRUE_LEASE_SECONDS": "0.4"}
    async with running(compose(Notes(), Doors()), postgres, environ=environ) as kit:
        async with kit.unit(tenant=A) as unit:
            await unit.enqueue(INDEX, ADDED)
        await kit.sql("""
            UPDATE holdtrue_outbox SET state = 'running', attempts = 1, lease_until = now() + interval '0.4 s'""")
        await kit.sql("DELETE FROM procrastinate_jobs")
        async with at_work(kit):
            await kit.worker.process.services.port(Provider).search.begun.wait()
        [row] = await kit.sql("SELECT state, attempts FROM holdtrue_outbox")
        assert row == {"state": "done", "attempts": 2}


async def test_a_lease_is_renewed_as_long_as_the_work_goes_on(postgres: Postgres) -> None:
    async with running(compose(Notes(), Doors()), postgres, environ=QUICK) as kit:
        search = kit.worker.process.services.port(Provider).search
        search.free = asyncio.Event()
        await kit.sql(TELL.replace("'settled', ''", "'settled', NEW.lease_until::text"))
        async with at_work(kit):
            async with kit.unit(tenant=A) as unit:
                await unit.enqueue(INDEX, ADDED)
            await search.begun.wait()
            leases = await notified(kit, 3)
            search.free.set()
        assert sorted(set(leases)) == leases
        assert search.calls == search.calls[:1]


async def notified(kit: Kit, times: int) -> list[str]:
    async with await psycopg.AsyncConnection.connect(kit.urls.superuser, autocommit=True) as connection:
        await connection.execute("LISTEN settled")
        told = []
        async for each in connection.notifies():
            told.append(each.payload)
            if len(told) == times:
                return told
    raise AssertionError


class Nightly(Payload):
    what: str = "everything"


async def test_a_schedule_is_enqueued_once_for_all_workers(postgres: Postgres) -> None:
    ran: list[str] = []
    job = Job(name="clock.nightly", payload=Nightly)

    async def nightly(work: Work, payload: Nightly) -> None:
        ran.append(payload.what)

    clock = Module(
        contract=Contract(
            name="clock", version="1.0.0", jobs=(job,), schedules=(Schedule(job=job, every=timedelta(days=36500)),)
        ),
        bindings=(job.bind(nightly),),
    )
    async with running(compose(clock, Notes(), Doors()), postgres) as kit:
        await asyncio.gather(*(kit.worker.turn(each) for each in kit.process.services.registry.schedules * 3))
        assert await kit.work() == 1
        assert ran == ["everything"]


async def test_a_job_whose_payload_has_defaults_is_enqueued_by_its_name(postgres: Postgres) -> None:
    async with running(deployed, postgres) as kit:
        for job, status, state in (("notes.tidy", 0, ["queued"]), ("notes.index", 2, ["queued"]), ("x", 2, ["queued"])):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "holdtrue.assembly", "enqueue", "tower.deployed:assembly", job),
                env={"DATABASE_URL": kit.urls.app, "PYTHONPATH": str(TESTS)},
                stderr=asyncio.subprocess.DEVNULL,
            )
            assert await process.wait() == status
            assert [row["state"] for row in await kit.sql("SELECT state FROM holdtrue_outbox")] == state


async def test_a_worker_waits_until_the_database_is_migrated(postgres: Postgres) -> None:
    """It tells that it waits, and works as soon as it may."""
    told: asyncio.Queue[str] = asyncio.Queue()
    urls = postgres.create()
    async with deployed.blueprint.open({"DATABASE_URL": urls.app}, role="worker") as process:
        worker = Worker(process)
        look = process.health.trouble

        async def watched() -> str | None:
            trouble = await look()
            await told.put(trouble or "")
            return trouble

        process.health.trouble = watched  # type: ignore[method-assign]
        running_worker = asyncio.create_task(worker.run())
        assert "migrate" in await told.get()
        await asyncio.to_thread(deployed.migrations.upgrade, urls.owner, urls.app)
        while await told.get():
            pass
        worker.stop()
        await running_worker
    postgres.drop(urls)


@pytest.mark.parametrize("command", ["dead", "requeue"])
async def test_an_operator_sees_what_waits_and_sends_it_back(postgres: Postgres, command: str) -> None:
    async with running(deployed, postgres) as kit:
        async with kit.unit(tenant=A) as unit:
            await unit.enqueue(INDEX, ADDED)
        await kit.sql("UPDATE holdtrue_outbox SET state = 'dead', error = 'OSError'")
        environ = {"DATABASE_URL": kit.urls.app, "WORKER_DATABASE_URL": kit.urls.worker, "PYTHONPATH": str(TESTS)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdtrue.assembly", command, "tower.deployed:assembly"),
            env=environ,
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0
        assert "dead notes.index" in told.decode()
        state = "queued" if command == "requeue" else "dead"
        assert [row["state"] for row in await kit.sql("SELECT state FROM holdtrue_outbox")] == [state]
