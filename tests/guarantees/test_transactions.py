"""Where the wire shows that a change and its event commit apart, and where it does not."""

from itertools import count

from holdtrue.guarantees.audit.transactions import cuts
from holdtrue.stage.wire import Point, Statement
from holdtrue.stage.wire.normalise import analyse

COVERED, HISTORY = {"public.orders", "public.payments"}, {"public.audit"}
CHANGE = 'UPDATE "orders" SET paid = true'
EVENT = "INSERT INTO public.audit (id) VALUES (1)"


def said(*transactions: list[str], process: str = "web1", functions: tuple[str, ...] = ()) -> list[Statement]:
    """Each list is one transaction; a lone statement commits by itself."""
    numbers = count()
    found = []
    for transaction, texts in enumerate(transactions):
        whole = ["BEGIN", *texts, "COMMIT"] if len(texts) > 1 and texts[-1] != "ROLLBACK" else texts
        found += [statement(text, next(numbers), transaction, process, functions) for text in whole]
    return found


def statement(sql: str, number: int, transaction: int, process: str, functions: tuple[str, ...]) -> Statement:
    (part,) = analyse(sql)
    return Statement(
        seq=number,
        unit=number,
        process=process,
        connection=1,
        backend=1,
        role="app",
        transaction=transaction,
        sql=sql,
        shape=part.shape,
        kind=part.kind,
        writes=part.writes or bool(part.calls & set(functions)),
        is_point=part.is_point,
        protocol="extended",
        parameters=(),
        parameter_types=(),
        parameter_formats=(),
        answered=True,
        sqlstate=None,
        message=None,
        tag=None,
        in_request=None,
        at=float(number),
        took=0.0,
    )


def found(statements: list[Statement]) -> list[str]:
    return [cut.name for cut in cuts(statements, COVERED, HISTORY)]


def test_what_commits_together_is_not_cut() -> None:
    assert found(said(["SELECT 1", CHANGE, EVENT])) == []
    assert found(said([f"WITH done AS ({CHANGE} RETURNING id) INSERT INTO audit SELECT id FROM done"])) == []


def test_an_event_in_the_next_transaction_is_cut_behind_the_change_and_before_each_write_up_to_its_commit() -> None:
    assert found(said(["SELECT 1", CHANGE], ["INSERT INTO seen VALUES (1)"], ["SELECT 1", EVENT])) == [
        "cut after web1 `commit`",
        "cut before web1 `insert into seen values (?)`",
        "cut before web1 `insert into public.audit(id) values (?)`",
        "cut before web1 `commit` #2",
    ]


def test_commits_are_counted_from_behind_the_changes_last_write() -> None:
    first, *_ = cuts(said(["SELECT 1", "SELECT 2"], [CHANGE, "SELECT 1"], ["SELECT 1", EVENT]), COVERED, HISTORY)
    assert first.anchor == Point("web1", 'update "orders" set paid = ?')
    assert first.point == Point("web1", "commit")


def test_a_statement_that_commits_by_itself_counts_as_a_transaction() -> None:
    names = found(said([CHANGE], [EVENT]))
    assert names == [
        'cut after web1 `update "orders" set paid = ?`',
        "cut before web1 `insert into public.audit(id) values (?)`",
    ]


def test_what_was_prepared_before_the_change_that_is_told_is_not_taken_for_a_change_untold() -> None:
    assert found(said(["INSERT INTO payments VALUES (1)", "SELECT 1"], [CHANGE, EVENT])) == []


def test_an_event_before_its_change_is_not_an_event_too_late() -> None:
    assert found(said([EVENT], [CHANGE])) == []


def test_what_was_rolled_back_is_no_change() -> None:
    assert found(said(["BEGIN", CHANGE, "ROLLBACK"], [EVENT])) == []


def test_events_told_by_then_are_counted() -> None:
    statements = said([CHANGE, EVENT], ["DELETE FROM ONLY payments"], [EVENT])
    assert {cut.told for cut in cuts(statements, COVERED, HISTORY)} == {1}


def test_a_workers_commit_is_no_place_to_cut() -> None:
    assert found(said([CHANGE, "SELECT 1"], ["SELECT 1", EVENT], process="worker")) == [
        "cut before worker `insert into public.audit(id) values (?)`"
    ]


def test_a_function_that_writes_may_be_what_adds_the_event_where_no_statement_does() -> None:
    log = "SELECT log_event(1)"
    assert found(said([CHANGE], [log], functions=("log_event",))) != []
    assert found(said([CHANGE], [log], [CHANGE, EVENT], functions=("log_event",))) == []
