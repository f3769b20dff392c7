"""Two requests at once: schedules, who waits for whose lock, deadlocks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest_asyncio

from holdtrue.stage.client import Answer
from holdtrue.stage.evidence import Evidence
from holdtrue.stage.schedules import Act, Exploration, Played, Schedule, Stops, Turn, play
from holdtrue.stage.wire import Listener

from .conftest import Bench

SEED = 20_261_122


def _answer(status: int) -> Answer:
    return Answer(status=status, headers=httpx.Headers(), body=b"")


class _Pair:
    """Two processes that each do something to the accounts."""

    def __init__(self, bench: Bench, one: psycopg.AsyncConnection, two: psycopg.AsyncConnection, database: str) -> None:
        self.bench, self.connections, self.database = bench, (one, two), database
        self.evidence = Evidence()
        self.stage: Any = SimpleNamespace(
            wire=bench.wire,
            clone=SimpleNamespace(blockers=self._blockers),
            player=SimpleNamespace(evidence=self.evidence),
        )

    async def _blockers(self, backend: int) -> list[int]:
        rows = await self.bench.admin.execute("SELECT pg_blocking_pids(%s)", (backend,))
        row = await rows.fetchone()
        return list(row[0]) if row else []

    async def learn(self, work: Callable[[psycopg.AsyncConnection], Coroutine[Any, Any, Answer]], side: int) -> Stops:
        with self.bench.wire.record() as recording:
            await work(self.connections[side])
        await self.reset()
        return Stops.of(recording.statements, ("web1", "web2")[side])

    async def reset(self) -> None:
        async with self.bench.direct(self.database) as direct:
            await direct.execute("UPDATE accounts SET balance = 100")

    async def play(
        self,
        schedule: Schedule,
        *works: Callable[[psycopg.AsyncConnection], Coroutine[Any, Any, Answer]],
        stops: tuple[Stops, Stops],
    ) -> Played:
        one, two = self.connections
        acts = (
            Act(process="web1", send=lambda: works[0](one)),
            Act(process="web2", send=lambda: works[-1](two)),
        )
        return await play(self.stage, schedule, acts, stops)


@pytest_asyncio.fixture
async def pair(bench: Bench, accounts: str, web1: Listener, web2: Listener) -> _Pair:
    return _Pair(bench, await bench.connect(web1), await bench.connect(web2), accounts)


async def _read_then_write(connection: psycopg.AsyncConnection) -> Answer:
    """A withdrawal without a lock; what it only reads before is committed, too."""
    await connection.execute("SELECT 1 FROM accounts")
    await connection.commit()
    rows = await connection.execute("SELECT balance FROM accounts WHERE id = 1")
    (balance,) = await rows.fetchone() or (0,)
    await connection.execute("UPDATE accounts SET balance = %s WHERE id = 1", (balance - 10,))
    await connection.commit()
    return _answer(200)


def _both(first: int, second: int) -> Callable[[psycopg.AsyncConnection], Coroutine[Any, Any, Answer]]:
    async def work(connection: psycopg.AsyncConnection) -> Answer:
        try:
            for account in (first, second):
                await connection.execute("UPDATE accounts SET balance = balance - 1 WHERE id = %s", (account,))
            await connection.commit()
        except psycopg.errors.DeadlockDetected:
            await connection.rollback()
            return _answer(500)
        return _answer(200)

    return work


async def test_a_request_is_held_where_it_writes_and_not_where_it_only_reads(pair: _Pair) -> None:
    stops = await pair.learn(_read_then_write, 0)
    assert stops.count == 2, "the UPDATE and its COMMIT; the first COMMIT ends a transaction that only read"
    assert stops.told == {1}


async def test_what_is_committed_in_two_phases_is_held_between_them_and_told_by_the_second(pair: _Pair) -> None:
    async def withdraw(connection: psycopg.AsyncConnection) -> Answer:
        await connection.tpc_begin("withdrawal")
        await connection.execute("UPDATE accounts SET balance = balance - 10 WHERE id = 1")
        await connection.tpc_prepare()
        await connection.tpc_commit()
        return _answer(200)

    stops = await pair.learn(withdraw, 0)
    assert stops.count == 3, "the UPDATE, PREPARE TRANSACTION and COMMIT PREPARED"
    assert stops.told == {2}
    played = await pair.play(Schedule(((0, 2), (1, None), (0, None))), withdraw, _read_then_write, stops=(stops, stops))
    assert [turn.outcome for turn in played.turns] == ["held", "waits", "ended"], "its locks outlive its session"
    assert (await pair.bench.balances(pair.database))[0] == 90


async def test_a_lost_update_is_seen_between_read_and_write(pair: _Pair) -> None:
    stops = await pair.learn(_read_then_write, 0)
    schedule = Schedule(((0, 0), (1, None), (0, None)))
    played = await pair.play(schedule, _read_then_write, stops=(stops, stops))
    assert [turn.outcome for turn in played.turns] == ["held", "ended", "ended"]
    assert (await pair.bench.balances(pair.database))[0] == 90, "one of two withdrawals is lost"
    (entry,) = [each for each in pair.evidence.entries if each["kind"] == "interleaving"]
    assert entry["turns"][0]["statement"].startswith("UPDATE accounts")


async def test_who_waits_for_a_lock_is_told_from_who_computes(pair: _Pair) -> None:
    stops = await pair.learn(_read_then_write, 0)
    schedule = Schedule(((0, 1), (1, None), (0, None)))
    played = await pair.play(schedule, _read_then_write, stops=(stops, stops))
    assert [(turn.process, turn.outcome) for turn in played.turns] == [
        ("web1", "held"),
        ("web2", "waits"),
        ("web1", "ended"),
    ]
    assert played.waited == (False, True)
    assert all(answer.admitted for answer in played.answers)


async def test_a_deadlock_is_an_outcome(pair: _Pair) -> None:
    crosswise = (_both(1, 2), _both(2, 1))
    stops = (await pair.learn(crosswise[0], 0), await pair.learn(crosswise[1], 1))
    schedule = Schedule(((0, 1), (1, 1), (0, None), (1, None)))
    played = await pair.play(schedule, *crosswise, stops=stops)
    assert played.aborted == ["40P01"]
    assert sorted(answer.status or 0 for answer in played.answers) == [200, 500]


def _second_waits() -> Played:
    held = Turn(process="web1", outcome="held", statement="UPDATE", moment=0.0)
    waits = Turn(process="web2", outcome="waits", statement="UPDATE", moment=0.1)
    return Played(
        answers=(_answer(200), _answer(200)), turns=[held, waits], passed=(3, 0), waited=(False, True), aborted=[]
    )


def _stops(count: int, *told: int) -> Stops:
    return Stops(frozenset({"write"}), frozenset({"commit"}), count, frozenset(told))


def test_one_preemption_is_tried_at_every_stop_and_a_second_where_it_can_differ() -> None:
    one_transaction = Exploration(_stops(3, 2), _stops(3, 2), alike=True, seed=SEED)
    schedules = list(one_transaction)
    assert [str(each) for each in schedules[:3]] == [
        f"first to stop {at}, second whole, first whole" for at in (1, 2, 3)
    ]
    assert len(schedules) == 3 + 3, "nobody has seen anything before the commit: a sample of the others suffices"
    two_transactions = list(Exploration(_stops(3, 0, 2), _stops(3, 0, 2), alike=True, seed=SEED))
    assert Schedule(((0, 1), (1, 1), (0, None), (1, None))) in two_transactions


def test_where_the_second_waits_its_later_stops_are_not_tried() -> None:
    exploration = Exploration(_stops(3, 0, 2), _stops(3, 0, 2), alike=True, seed=SEED)
    tried = []
    for schedule in exploration:
        tried.append(schedule)
        exploration.note(schedule, _second_waits())
    assert all(schedule.preemptions != 2 for schedule in tried[:-3])


def test_a_lock_that_is_held_until_the_commit_is_waited_for_once() -> None:
    exploration = Exploration(_stops(4, 3), _stops(4, 3), alike=True, seed=SEED)
    tried = []
    for schedule in exploration:
        tried.append(str(schedule))
        if schedule.turns[0] == (0, 1):
            exploration.note(schedule, _second_waits())
    assert tried[:2] == ["first to stop 1, second whole, first whole", "first to stop 2, second whole, first whole"]
    assert "first to stop 3, second whole, first whole" not in tried


def test_the_sample_is_the_same_for_the_same_seed() -> None:
    one, two = (list(Exploration(_stops(4, 3), _stops(2, 1), alike=False, seed=SEED)) for _ in range(2))
    assert one == two
    assert len(set(one)) == len(one)


def test_what_is_left_is_counted() -> None:
    exploration = Exploration(_stops(1, 0), _stops(1, 0), alike=False, seed=SEED)
    tried = len(list(exploration))
    assert exploration.left == 6 - tried
