"""A witness tells what the instruments saw of a case: statements, cuts, holds and mails, with their times."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from holdtrue.stage.evidence import Redactor
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import Clock, StripeDouble
from holdtrue.stage.wire import Listener, Point, Statement, Wire
from holdtrue.stage.witness import Witness

from .conftest import Bench


@pytest_asyncio.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.fixture
def witness(wire: Wire, mail: MailServer) -> Witness:
    double = StripeDouble(authority=None, seed="7", clock=Clock(time.time))
    return Witness(wire, double, mail, _is_background)


def _is_background(statement: Statement) -> bool:
    return statement.process == "web2"


def told(witness_: Witness, entries: list[Any]) -> list[tuple[str, str]]:
    witness_.end()
    return [(entry["kind"], entry.get("sql") or entry.get("subject") or "") for entry in entries]


async def pay(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("UPDATE accounts SET balance = 1 WHERE id = 1")
    await connection.commit()


async def test_statements_are_told_with_who_sent_them_and_what_came_of_them(
    bench: Bench, witness: Witness, web1: Listener, web2: Listener, accounts: str
) -> None:
    first, second = await bench.connect(web1), await bench.connect(web2)
    await pay(first)
    evidence = witness.begin()
    await first.execute("SELECT 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await first.execute("INSERT INTO accounts VALUES (1, 5)")
    await first.rollback()
    await pay(second)
    entries = evidence.export(Redactor())
    assert told(witness, entries) == [
        ("statement", "BEGIN"),
        ("statement", "INSERT INTO accounts VALUES (1, 5)"),
        ("statement", "ROLLBACK"),
    ]
    refused = entries[1]
    assert (refused["process"], refused["sqlstate"], refused["writes"]) == ("web1", "23505", True)
    assert refused["transaction"] == entries[0]["transaction"]
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    assert 0 <= refused["at"] < time.monotonic() - evidence.began


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_cut_is_told_where_it_happened(
    bench: Bench, witness: Witness, web1: Listener, accounts: str, when: Any
) -> None:
    connection = await bench.connect(web1)
    evidence = witness.begin()
    with bench.wire.cut(Point("web1", "commit"), when=when) as arm:
        with pytest.raises(psycopg.OperationalError):
            await pay(connection)
        await arm.settled.wait()
    entries = evidence.export(Redactor())
    committed = [("statement", "COMMIT")] if when == "after" else []
    assert told(witness, entries)[2:] == [*committed, ("cut", "COMMIT")]
    assert (entries[-1]["when"], entries[-1]["process"]) == (when, "web1")


async def test_a_hold_is_told_from_its_beginning_to_its_end(
    bench: Bench, witness: Witness, web1: Listener, accounts: str
) -> None:
    connection = await bench.connect(web1)
    evidence = witness.begin()
    with bench.wire.hold(Point("web1", "commit")) as hold:
        paying = asyncio.create_task(pay(connection))
        await hold.reached()
    await paying
    assert told(witness, evidence.export(Redactor()))[2:] == [
        ("held", "COMMIT"),
        ("released", "COMMIT"),
        ("statement", "COMMIT"),
    ]


async def test_what_a_reset_takes_away_was_told_before_and_is_told_once(
    witness: Witness, mail: MailServer, accounts: str
) -> None:
    mail.store(b"Subject: early\r\n\r\nx", mail.begin_attempt(), "a@b.test", ["ann@a.test"])
    evidence = witness.begin()
    mail.store(b"Subject: one\r\n\r\nx", mail.begin_attempt(), "a@b.test", ["ann@a.test"])
    witness.gather()
    await mail.restore()
    mail.store(b"Subject: two\r\n\r\nx", mail.begin_attempt(), "a@b.test", ["ann@a.test"])
    entries = evidence.export(Redactor())
    assert told(witness, entries) == [("mail", "one"), ("mail", "two")]
    assert entries[0]["recipients"] == ["ann@a.test"]


async def test_the_next_case_has_nothing_of_the_one_before(
    bench: Bench, witness: Witness, web1: Listener, accounts: str
) -> None:
    connection = await bench.connect(web1)
    witness.begin()
    await pay(connection)
    assert told(witness, witness.begin().export(Redactor())) == []
