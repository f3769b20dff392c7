"""What becomes of work: done once, tried again, given up, unknown."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from uuid import UUID

import pytest
from tower.notes import CHARGE, IMPORT, INDEX, SEEN, Imported, Note, NoteAdded, Notes, Provider, Search

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.runtime import GiveUp, Unknown, Work
from holdtrue.runtime.outbox import Ref
from holdtrue.runtime.work import Backoff

A, B = UUID(int=0xA), UUID(int=0xB)
ADDED = NoteAdded(note_id=UUID(int=1), title="t")


def search(kit: Kit) -> Search:
    return kit.worker.process.services.port(Provider).search


async def owe_index(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        await unit.enqueue(INDEX, ADDED)


async def one(kit: Kit) -> dict[str, object]:
    [row] = await kit.sql("SELECT * FROM holdtrue_outbox")
    return row


async def test_work_is_done_once_in_its_tenant(kit: Kit) -> None:
    await owe_index(kit)
    assert await kit.work() == 1
    assert await kit.work() == 0
    row = await one(kit)
    assert (row["state"], row["attempts"], row["lease_until"]) == ("done", 1, None)
    assert search(kit).calls == [(str(row["id"]), "t")]
    [note] = await kit.sql("SELECT * FROM notes")
    assert (note["title"], note["tenant_id"]) == ("indexed t", A)


async def test_a_failure_waits_and_comes_again_with_the_same_key_until_it_is_a_dead_letter(kit: Kit) -> None:
    search(kit).failing = [OSError("down")] * 3
    await owe_index(kit)
    for attempt in (1, 2, 3):
        assert await kit.work(hurry=attempt > 1) == 1
        row = await one(kit)
        assert (row["state"], row["attempts"]) == ("dead" if attempt == 3 else "queued", attempt)
    assert await kit.work(hurry=True) == 0
    assert len({key for key, _ in search(kit).calls}) == 1
    [letter] = await kit.worker.letters()
    assert (letter.job, letter.state, letter.error, letter.ref.tenant) == ("notes.index", "dead", "OSError", A)


async def test_a_dead_letter_is_requeued_under_its_key_and_audited(kit: Kit) -> None:
    search(kit).failing = [OSError("down")] * 3
    await owe_index(kit)
    for _ in range(3):
        await kit.work(hurry=True)
    [letter] = await kit.worker.letters()
    assert await kit.worker.requeue(letter)
    assert not await kit.worker.requeue(letter)
    await kit.work()
    assert (await one(kit))["state"] == "done"
    assert len({key for key, _ in search(kit).calls}) == 1
    assert [row["action"] for row in await kit.sql("SELECT action FROM doors_audit")] == ["work.requeued"]


async def test_what_will_never_succeed_is_given_up_at_once(kit: Kit) -> None:
    search(kit).failing = [GiveUp("no such index")]
    await owe_index(kit)
    await kit.work()
    row = await one(kit)
    assert (row["state"], row["attempts"], row["error"]) == ("dead", 1, "no such index")


async def test_an_unknown_outcome_is_tried_again_with_the_same_key(kit: Kit) -> None:
    search(kit).failing = [Unknown("no answer")]
    await owe_index(kit)
    await kit.work()
    assert (await one(kit))["state"] == "unknown"
    assert await kit.work(hurry=True) == 1
    assert (await one(kit))["state"] == "done"
    assert len({key for key, _ in search(kit).calls}) == 1


async def test_an_unknown_outcome_is_held_where_the_job_says_so(kit: Kit) -> None:
    search(kit).failing = [Unknown("no answer")]
    async with kit.unit(tenant=A) as unit:
        await unit.enqueue(CHARGE, ADDED)
    await kit.work()
    assert await kit.work(hurry=True) == 0
    [letter] = await kit.worker.letters()
    assert (letter.state, letter.error) == ("unknown", "no answer")
    assert await kit.worker.requeue(letter)
    assert await kit.work() == 1
    assert (await one(kit))["state"] == "done"


async def test_a_lapsed_lease_is_taken_over_and_the_first_worker_keeps_nothing(kit: Kit) -> None:
    """The first is silent for longer than its lease, and comes back after the second has finished."""
    await owe_index(kit)
    row = await one(kit)
    searched = search(kit)
    searched.free = asyncio.Event()
    ref = Ref(box="outbox", tenant=A, id=row["id"])  # type: ignore[arg-type]
    first = asyncio.create_task(kit.worker.driver.drive(ref))
    await searched.begun.wait()
    await kit.sql("UPDATE holdtrue_outbox SET lease_until = now() - interval '1 second'")
    held, searched.free = searched.free, None
    assert await kit.worker.driver.drive(ref)
    held.set()
    assert await first
    row = await one(kit)
    assert (row["state"], row["attempts"]) == ("done", 2)
    assert len(await kit.sql("SELECT * FROM notes")) == 1


async def test_work_that_is_held_is_not_begun_by_another(kit: Kit) -> None:
    await owe_index(kit)
    row = await one(kit)
    searched = search(kit)
    searched.free = asyncio.Event()
    ref = Ref(box="outbox", tenant=A, id=row["id"])  # type: ignore[arg-type]
    first = asyncio.create_task(kit.worker.driver.drive(ref))
    await searched.begun.wait()
    assert not await kit.worker.driver.drive(ref)
    searched.free.set()
    assert await first
    assert len(searched.calls) == 1


async def test_a_worker_that_dies_in_every_attempt_leaves_a_dead_letter(kit: Kit) -> None:
    await owe_index(kit)
    await kit.sql(
        "UPDATE holdtrue_outbox SET state = 'running', attempts = 3, lease_until = now() - interval '1 second'"
    )
    assert await kit.work() == 1
    assert (await one(kit))["state"] == "dead"
    assert search(kit).calls == []


async def test_work_that_must_not_be_repeated_is_unknown_after_its_worker_died(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        await unit.enqueue(CHARGE, ADDED)
    await kit.sql(
        "UPDATE holdtrue_outbox SET state = 'running', attempts = 1, lease_until = now() - interval '1 second'"
    )
    await kit.work()
    assert (await one(kit))["state"] == "unknown"
    assert search(kit).calls == []


async def test_an_observer_is_called_again_with_the_same_key_until_it_succeeds(postgres: Postgres) -> None:
    seen: list[tuple[str, int]] = []

    async def watch(work: Work, payload: NoteAdded) -> None:
        seen.append((work.key, work.attempt))
        if work.attempt < 3:
            raise OSError("down")

    async with running(compose(Notes(), Doors(), bindings=[SEEN.bind(watch)]), postgres) as kit:
        async with kit.unit(tenant=A) as unit:
            await unit.observe(SEEN, ADDED)
        assert seen == []
        for _ in range(5):
            await kit.work(hurry=True)
        assert [attempt for _, attempt in seen] == [1, 2, 3]
        assert len({key for key, _ in seen}) == 1
        assert (await one(kit))["state"] == "done"


async def test_what_came_in_without_a_tenant_is_finished_in_the_tenant_found_for_it(kit: Kit) -> None:
    async with kit.unit() as unit:
        assert await unit.receive(IMPORT, Imported(external_id=str(B)), key="evt_1")
    assert await kit.work() == 1
    [note] = await kit.sql("SELECT * FROM notes")
    assert (note["tenant_id"], note["title"]) == (B, "imported")
    async with kit.unit() as unit:
        assert not await unit.receive(IMPORT, Imported(external_id=str(B)), key="evt_1")
    assert await kit.work() == 0


async def test_a_dead_event_that_is_delivered_again_is_driven_again(kit: Kit) -> None:
    async with kit.unit() as unit:
        await unit.receive(IMPORT, Imported(external_id=str(B)), key="evt_1")
    await kit.sql("UPDATE holdtrue_inbox SET state = 'dead'")
    async with kit.unit() as unit:
        assert await unit.receive(IMPORT, Imported(external_id=str(B)), key="evt_1")
    assert await kit.work() == 1
    assert [row["state"] for row in await kit.sql("SELECT state FROM holdtrue_inbox")] == ["done"]


async def test_two_deliveries_at_once_leave_one_row(kit: Kit) -> None:
    async def deliver() -> bool:
        async with kit.unit() as unit:
            return await unit.receive(IMPORT, Imported(external_id=str(B)), key="evt_1")

    assert sorted(await asyncio.gather(deliver(), deliver(), deliver())) == [False, False, True]
    assert len(await kit.sql("SELECT * FROM holdtrue_inbox")) == 1


async def test_finishing_in_another_tenant_than_ones_own_is_refused(kit: Kit) -> None:
    await owe_index(kit)

    async def escape(work: Work, payload: NoteAdded) -> None:
        async with work.finish(tenant=B) as unit:
            unit.session.add(Note(title="escaped"))

    registry = kit.worker.process.services.registry
    handler = registry.handlers["notes.index"]
    object.__setattr__(handler, "function", escape)
    await kit.work()
    assert await kit.sql("SELECT * FROM notes") == []
    assert (await one(kit))["state"] == "queued"


def test_waits_are_spread_below_a_ceiling_that_doubles() -> None:
    backoff, dice = Backoff(base=1.0, longest=60.0), random.Random(1)  # noqa: S311
    for attempts, ceiling in ((1, 1), (2, 2), (5, 16), (40, 60)):
        waits = [backoff.wait(attempts, dice) for _ in range(200)]
        assert max(waits) <= timedelta(seconds=ceiling)
        assert min(waits) < timedelta(seconds=ceiling / 10)
        assert max(waits) > timedelta(seconds=ceiling * 0.9)


@pytest.mark.parametrize("state", ["queued", "running", "unknown"])
async def test_what_was_overlooked_is_woken_again(kit: Kit, state: str) -> None:
    """A crash between the commit and the wake, and a worker that was killed, look alike: due, and nobody comes."""
    await owe_index(kit)
    await kit.sql("DELETE FROM procrastinate_jobs")
    await kit.sql(
        "UPDATE holdtrue_outbox SET state = %s, lease_until = CASE %s WHEN 'running' THEN now() - interval '1s' END",
        state,
        state,
    )
    await kit.worker.sweep()
    assert await kit.sql("SELECT * FROM procrastinate_jobs") == []
    await kit.sql("ALTER TABLE holdtrue_outbox DISABLE TRIGGER wake")
    await kit.sql("UPDATE holdtrue_outbox SET due_at = now() - interval '1 hour'")
    await kit.sql("ALTER TABLE holdtrue_outbox ENABLE TRIGGER wake")
    await kit.worker.sweep()
    row = await one(kit)
    [wake] = await kit.sql("SELECT * FROM procrastinate_jobs")
    assert wake["args"] == {"box": "outbox", "tenant": str(A), "id": str(row["id"])}
    assert wake["queue_name"] == "search"


async def test_done_work_is_forgotten_after_its_time(kit: Kit) -> None:
    await owe_index(kit)
    await kit.work()
    await kit.worker.sweep()
    assert len(await kit.sql("SELECT * FROM holdtrue_outbox")) == 1
    await kit.sql("UPDATE holdtrue_outbox SET done_at = now() - interval '8 days'")
    await kit.worker.sweep()
    assert await kit.sql("SELECT * FROM holdtrue_outbox") == []
