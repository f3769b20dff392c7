"""What a rule finds breaks a guarantee when it is certain; it stands where no stage could be set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from misfortune import World

from holdtrue.check.prove import Order, fingerprint
from holdtrue.check.rules import Inspected, alone, inspect, joined
from holdtrue.contract.report import Finding, Result
from holdtrue.contract.words import Confidence, Outcome, Place, Severity
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Read, Untried
from holdtrue.stage import Stage

CERTAIN = Harm(seen="it makes every table", where="revision 2", clause=("migrations",), source="versions/2.py:7")
SUSPECT = Harm(seen="it may make a table", where="env.py", suspect=True)


def guarantee(*read: Read | Exception, rehearsed: bool = False, promised: bool = True) -> Guarantee:
    def rule(_: object, __: object) -> Iterator[Read]:
        for each in read:
            if isinstance(each, Exception):
                raise each
            yield each

    async def rehearse(_: Stage) -> AsyncIterator[Case]:
        return
        yield

    return Guarantee(
        doc="Bad pattern.",
        code="REL900",
        catalogue="M900",
        severity=Severity.HIGH,
        promise="p",
        why="w",
        do="d",
        do_not="n",
        subjects=lambda _: ["x"] if promised else [],
        inspect=rule,
        rehearse=rehearse if rehearsed else None,
    )


def inspected(of: Guarantee) -> Inspected:
    order = Order(
        directory=Path("app"), evidence=Path("none"), seed=7, case=None, locate=".".join, source="app.py:{}".format
    )
    document: Any = SimpleNamespace()
    return inspect([of], document, order, Path("app"))[of.code]


def decided(*read: Read | Exception) -> Result:
    one = guarantee(*read)
    return alone(one, inspected(one))


def rehearsed(outcome: Outcome, *findings: Finding) -> Result:
    return Result(code="REL900", place=Place.RELEASES, title="Bad pattern", outcome=outcome, findings=list(findings))


def test_a_certain_harm_breaks_the_guarantee_and_says_where_the_app_has_it() -> None:
    result = decided(CERTAIN)
    assert (result.outcome, result.confidence) == (Outcome.BROKEN, Confidence.CERTAIN)
    (finding,) = result.findings
    assert finding.confidence is Confidence.CERTAIN
    assert finding.source == "app/versions/2.py:7"
    assert finding.clause == "migrations"
    assert finding.replay == "holdtrue check app --rules --only REL900"


def test_a_suspect_is_shown_and_breaks_nothing() -> None:
    result = decided(SUSPECT)
    assert result.outcome is Outcome.KEPT
    assert [finding.confidence for finding in result.findings] == [Confidence.SUSPECT]
    assert decided(SUSPECT, CERTAIN).outcome is Outcome.BROKEN


def test_a_rule_that_finds_nothing_keeps_and_one_that_cannot_read_does_not() -> None:
    assert (decided().outcome, decided().tried) == (Outcome.KEPT, 1)
    unread = decided(Untried(subject="migrations", reason="1.py cannot be parsed"))
    assert (unread.outcome, unread.reason, unread.tried) == (Outcome.NOT_RUN, "migrations: 1.py cannot be parsed", 0)
    assert decided(Absent(reason="it has no migrations")).outcome is Outcome.NOT_PROMISED


def test_a_rule_that_fails_is_an_outcome_and_what_it_found_before_stands() -> None:
    failed = decided(KeyError("x"))
    assert failed.outcome is Outcome.ERRORED
    assert failed.reason.startswith("the rule itself failed: KeyError: 'x' (test_rules.py:")
    assert decided(CERTAIN, KeyError("x")).outcome is Outcome.BROKEN


def test_what_is_not_promised_is_not_read() -> None:
    one = guarantee(RuntimeError("it was read"), promised=False)
    document: Any = SimpleNamespace()
    assert inspect([one], document, Any, Path("app")) == {}


@pytest.mark.parametrize("outcome", [Outcome.KEPT, Outcome.NOT_RUN, Outcome.NOT_PROMISED, Outcome.ERRORED])
def test_a_certain_harm_breaks_whatever_a_rehearsal_came_to(outcome: Outcome) -> None:
    read = inspected(guarantee(CERTAIN, rehearsed=True))
    result = joined(rehearsed(outcome), read)
    assert (result.outcome, result.confidence) == (Outcome.BROKEN, Confidence.CERTAIN)


@pytest.mark.parametrize("outcome", [Outcome.KEPT, Outcome.NOT_RUN, Outcome.ERRORED, Outcome.BROKEN])
def test_without_a_certain_harm_a_rehearsal_decides(outcome: Outcome) -> None:
    for read in ((SUSPECT,), (), (Untried(subject="x", reason="y"),), (Absent(reason="z"),)):
        assert joined(rehearsed(outcome), inspected(guarantee(*read, rehearsed=True))).outcome is outcome


def test_what_the_running_app_cannot_be_asked_for_is_kept_where_the_source_decides_it() -> None:
    absent = rehearsed(Outcome.NOT_PROMISED)
    assert joined(absent, inspected(guarantee(rehearsed=True))).outcome is Outcome.KEPT
    unread = inspected(guarantee(Absent(reason="it has no migrations"), rehearsed=True))
    assert joined(absent, unread).outcome is Outcome.NOT_PROMISED


def test_what_a_rehearsal_proved_is_not_told_twice() -> None:
    read = inspected(guarantee(CERTAIN, SUSPECT, rehearsed=True))
    mark = fingerprint("REL900", CERTAIN.where, CERTAIN.clause)
    proved = read.findings[0].model_copy(update={"confidence": Confidence.PROVED, "fingerprint": mark})
    result = joined(rehearsed(Outcome.BROKEN, proved), read)
    assert [finding.confidence for finding in result.findings] == [Confidence.PROVED, Confidence.SUSPECT]


def test_a_failed_rule_spoils_a_kept_guarantee_and_leaves_a_broken_one() -> None:
    read = inspected(guarantee(KeyError("x"), rehearsed=True))
    assert joined(rehearsed(Outcome.KEPT), read).outcome is Outcome.ERRORED
    assert joined(rehearsed(Outcome.BROKEN), read).outcome is Outcome.BROKEN


# -- a whole check ----------------------------------------------------------------------------------------------------

REVISION = 'revision = "{}"\ndown_revision = {!r}\n'
"""Nobody runs these: the rule reads them."""


def parted(world: World) -> None:
    world.app.files["alembic.ini"] = "[alembic]\nscript_location = .\nversion_locations = .\npath_separator = os\n"
    for name, parent in (("1", None), ("2a", "1"), ("2b", "1")):
        world.app.files[f"r{name}.py"] = REVISION.format(name, parent)
    world.app.document["migrations"] = {"tool": "alembic"}


def test_rules_alone_start_nothing(world: World) -> None:
    parted(world)
    world.app.files["migrate.py"] = "raise SystemExit('it was run')\n"
    done = world.check("--rules")
    assert done.code == 1
    assert "The revisions 2a, 2b are heads of one branch" in done.out
    assert "Narrowed by --rules" in done.out


def test_where_no_stage_can_be_set_a_report_tells_what_a_rule_has_found(world: World) -> None:
    parted(world)
    world.app.files["migrate.py"] = "raise SystemExit('it was run')\n"
    done = world.check("--only", "REL043,AUTH001")
    assert done.code == 1
    assert "REL043" in done.out
    assert "the stage could not be set" in done.out
    world.assert_clean()


def test_where_no_stage_can_be_set_and_no_rule_found_anything_nothing_is_decided(world: World) -> None:
    world.app.files["migrate.py"] = "raise SystemExit('it was run')\n"
    assert world.check("--only", "REL043,AUTH001").code == 3
