"""What an idle app says is told from work: by the statement, and by what the answer says it found."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from holdtrue.stage.habits import Habits, key_of, learned
from holdtrue.stage.quiet import OFTEN, Quiet
from holdtrue.stage.wire import Statement

NOBODY = SimpleNamespace(pids=lambda _: [], guard_pids=lambda _: [])

POLL = "select id from jobs where due_at <= ? for update skip locked"


def said(shape: str, at: float, tag: str, *, process: str = "worker", kind: str = "select") -> Statement:
    return Statement(
        seq=0,
        unit=0,
        process=process,
        connection=1,
        backend=1,
        role="app",
        transaction=0,
        sql=shape,
        shape=shape,
        kind=kind,  # type: ignore[arg-type]
        writes=False,
        is_point=False,
        protocol="simple",
        parameters=(),
        parameter_types=(),
        parameter_formats=(),
        answered=True,
        sqlstate=None,
        message=None,
        tag=tag,
        in_request=None,
        at=at,
        took=0.001,
    )


def idle(*more: Statement) -> Habits:
    cycles = [
        statement
        for at in (0.0, 0.2, 0.5)
        for statement in (
            said("begin", at, "BEGIN", kind="begin"),
            said("select set_config(?, ?, ?)", at + 0.01, "SELECT 1"),
            said(POLL, at + 0.02, "SELECT 0"),
            said("commit", at + 0.03, "COMMIT", kind="commit"),
        )
    ]
    return learned([*cycles, *more], 0.6)


def test_what_is_repeated_and_looks_for_rows_is_a_poll() -> None:
    habits = idle()
    assert habits.polls == {("worker", POLL)}
    assert abs(habits.interval - 0.3) < 1e-9


def test_a_poll_that_finds_a_row_is_work() -> None:
    habits = idle()
    empty = said(POLL, 1.0, "SELECT 0")
    assert habits.are_heard_in(empty)
    assert not habits.are_heard_in(replace(empty, tag="SELECT 1"))


def test_a_count_does_not_tell_what_it_found() -> None:
    count = "select count(*) from jobs"
    habits = idle(said(count, 0.1, "SELECT 1"), said(count, 0.4, "SELECT 1"))
    assert not habits.tells(("worker", count))
    assert habits.tells(("worker", POLL))
    assert habits.are_heard_in(said(count, 1.0, "SELECT 1"))


def test_what_only_repeats_its_pings_is_waited_for_by_these() -> None:
    habits = learned([said("", at, "", kind="other") for at in (0.0, 0.3)], 0.6)
    assert habits.polls == {("worker", "")}


def test_an_app_that_said_something_once_may_say_it_again_only_after_as_long_as_we_watched() -> None:
    assert learned([said(POLL, 0.1, "SELECT 0")], 0.6).interval == 0.6
    assert learned([], 0.6).interval == 0.0


def test_all_web_processes_have_the_same_habits() -> None:
    assert key_of(said(POLL, 0, "SELECT 0", process="web1")) == key_of(said(POLL, 0, "SELECT 0", process="web2"))


class Heard:
    """A wire that says what a test tells it to, some at each look."""

    def __init__(self, *looks: list[Statement]) -> None:
        self._looks = list(looks)
        self._said: list[Statement] = []

    @contextmanager
    def record(self) -> Iterator["Heard"]:
        yield self

    @property
    def statements(self) -> list[Statement]:
        return self._said

    def look(self) -> None:
        if self._looks:
            self._said += self._looks.pop(0)


async def test_what_a_worker_says_once_as_it_starts_is_no_habit_however_slow_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    polls = [said(POLL, at, "SELECT 0") for at in range(OFTEN)]
    starting = [said("insert into outbox (id) values (?)", 1.5, "INSERT 0 1", kind="insert")]
    heard = Heard(polls, starting, polls, polls, polls)
    monkeypatch.setattr("holdtrue.stage.quiet.asyncio.sleep", lambda _: asyncio.to_thread(heard.look))
    monkeypatch.setattr("holdtrue.stage.quiet.LEARNING", 0.01)
    quiet = Quiet(heard, None, None, NOBODY)  # type: ignore[arg-type]
    await quiet.learn(worker=True)
    assert quiet.habits.polls == {("worker", POLL)}
    assert not quiet.is_background(starting[0])


def test_a_poll_that_fails_found_nothing_out() -> None:
    habits = idle()
    assert habits.are_heard_in(said(POLL, 1.0, "SELECT 0"))
    assert not habits.are_heard_in(replace(said(POLL, 1.0, ""), tag=None, sqlstate="23503"))
