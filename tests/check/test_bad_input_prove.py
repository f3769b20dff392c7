"""What becomes of a guarantee whose rehearsal goes well, shows harm, finds nothing to try, or fails itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdtrue.check import prove as engine
from holdtrue.check.events import CaseTried, Event
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.report import Finding, Result
from holdtrue.contract.words import Outcome, Severity, Stability
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage
from holdtrue.stage.evidence import Evidence, Redactor
from holdtrue.stage.steps import StepFailedError

Play = Callable[[], Awaitable[Harm | None]]
HARM = Harm(seen="the password hunter2-but-longer was told", where="GET /x", clause=("routes", "GET /x"))


class FakeStage:
    """As much of a stage as a proof that plays no request needs."""

    def __init__(self) -> None:
        self.document = SimpleNamespace(promises=["x"])
        self.redactor = Redactor()
        self.redactor.learn("password", "hunter2-but-longer")
        self.player = SimpleNamespace(evidence=Evidence(), ran_out=None)
        self.setting = SimpleNamespace(notes=set(), keep_traceback=self._keep_traceback)
        self.doubt: str | None = None
        self.restarts = 0
        self.distrusted = 0
        self.tracebacks: list[str] = []

    def begin_evidence(self) -> None:
        self.player.evidence = Evidence()

    def _keep_traceback(self, name: str, error: BaseException) -> None:
        self.tracebacks.append(f"{name}: {error!r}")

    def distrust(self) -> None:
        self.distrusted += 1

    async def restart(self) -> None:
        self.restarts += 1


@pytest.fixture
def stage() -> FakeStage:
    return FakeStage()


class Proof:
    """Proves a guarantee of the cases it is given."""

    def __init__(self, stage: FakeStage, directory: Path) -> None:
        self.stage = stage
        self.directory = directory
        self.events: list[Event] = []
        self.closed = False

    async def __call__(self, *items: Case | Untried | Exception, case: str | None = None) -> Result:
        async def rehearse(_: Stage) -> AsyncIterator[Case | Untried]:
            try:
                for item in items:
                    if isinstance(item, Exception):
                        raise item
                    yield item
            finally:
                self.closed = True

        guarantee = Guarantee(
            doc="Bad pattern.",
            code="AUTH900",
            catalogue="T900",
            severity=Severity.HIGH,
            promise="p",
            why="w",
            do="d",
            do_not="n",
            subjects=lambda document: cast("Any", document).promises,
            rehearse=rehearse,
        )
        order = engine.Order(
            directory=Path("app"),
            evidence=self.directory,
            seed=7,
            case=case,
            locate=".".join,
            source="app.py:{}".format,
        )
        return await engine.prove(guarantee, cast("Stage", self.stage), order, self.events.append)


@pytest.fixture
def prove(stage: FakeStage, tmp_path: Path) -> Proof:
    return Proof(stage, tmp_path / "evidence")


def case(name: str, *outcomes: Harm | Exception | None, cause: str = "cause") -> Case:
    """A case that ends like this at its first play, its second …; the last outcome stays."""
    left = list(outcomes)

    async def play() -> Harm | None:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Case(name=name, play=play, cause=cause)


def kept(finding: Finding) -> Any:
    """The evidence of a finding."""
    return json.loads(Path(finding.evidence).read_text(encoding="utf-8"))


async def test_kept_needs_a_case_that_was_tried(prove: Proof) -> None:
    assert (await prove(case("one", None))).outcome is Outcome.KEPT
    nothing = await prove()
    assert nothing.outcome is Outcome.NOT_RUN
    assert nothing.reason == "the rehearsal found nothing to try"


async def test_what_the_document_does_not_declare_is_not_promised(prove: Proof, stage: FakeStage) -> None:
    stage.document.promises = []
    assert (await prove(case("one", HARM))).outcome is Outcome.NOT_PROMISED


async def test_one_subject_that_could_not_be_tried_is_enough_for_not_run(prove: Proof) -> None:
    result = await prove(case("one", None), Untried(subject="GET /y", reason="GET /y: its twin was answered 404"))
    assert result.outcome is Outcome.NOT_RUN
    assert result.reason == "GET /y: its twin was answered 404"
    assert result.tried == 1


async def test_a_case_that_cannot_be_played_is_untried_and_the_others_go_on(prove: Proof, stage: FakeStage) -> None:
    failed = StepFailedError("was answered 500 with hunter2-but-longer", where="GET /y")
    result = await prove(case("one", failed), case("two", None))
    assert result.outcome is Outcome.NOT_RUN
    assert result.reason == "one: GET /y: was answered 500 with [password]"
    assert (result.tried, result.possible) == (1, 2)
    assert stage.distrusted == 1


async def test_harm_is_played_again_in_fresh_processes(prove: Proof, stage: FakeStage) -> None:
    result = await prove(case("one", HARM), case("two", HARM), case("three", HARM, None, cause="another"))
    assert result.outcome is Outcome.BROKEN
    assert [finding.stability for finding in result.findings] == [Stability.DETERMINISTIC, Stability.FLAKY]
    assert [finding.cases for finding in result.findings] == [["one", "two"], ["three"]]
    assert stage.restarts == 1, "once for all findings"
    assert result.findings[0].seen == "the password [password] was told"
    assert result.findings[0].replay == "holdtrue check app --only AUTH900 --case one --seed 7"
    assert kept(result.findings[0])["case"] == "one"


async def test_evidence_is_of_the_play_that_showed_harm(prove: Proof, stage: FakeStage) -> None:
    plays = iter([HARM, None])

    async def play() -> Harm | None:
        harm = next(plays)
        stage.player.evidence.add("play", harmful=harm is not None)
        return harm

    (finding,) = (await prove(Case(name="one", play=play, cause="cause"))).findings
    assert finding.stability is Stability.FLAKY
    assert [entry["harmful"] for entry in kept(finding)["entries"]] == [True]


@pytest.mark.parametrize("error", [HoldtrueError("it does not start any more"), RuntimeError("a fault of ours")])
async def test_harm_stands_even_if_it_cannot_be_played_again(prove: Proof, error: Exception) -> None:
    result = await prove(case("one", HARM, error))
    assert result.outcome is Outcome.BROKEN
    assert result.findings[0].stability is None
    assert str(error) in result.reason


@pytest.mark.parametrize("error", [HoldtrueError("it does not start any more"), RuntimeError("a fault of ours")])
async def test_harm_that_was_seen_is_not_forgotten_when_the_rehearsal_fails_later(
    prove: Proof, error: Exception
) -> None:
    result = await prove(case("one", HARM), error, case("two", None))
    assert result.outcome is Outcome.BROKEN
    assert str(error) in result.reason
    assert result.tried == 1


async def test_an_error_that_explains_itself_leaves_the_rest_untried(prove: Proof) -> None:
    result = await prove(case("one", None), HoldtrueError("the disk is full"))
    assert result.outcome is Outcome.NOT_RUN
    assert result.reason == "what was left to try: the disk is full"


async def test_a_fault_of_the_proof_is_its_outcome_and_its_traceback_is_kept(prove: Proof, stage: FakeStage) -> None:
    result = await prove(case("one", None), case("two", KeyError("hunter2-but-longer")))
    assert result.outcome is Outcome.ERRORED
    assert result.reason == "the proof itself failed: KeyError: '[password]'"
    assert stage.tracebacks == ["AUTH900: KeyError('hunter2-but-longer')"]
    assert prove.closed, "what the rehearsal started was not ended"
    assert stage.distrusted == 1


async def test_a_narrowed_proof_tries_what_matches_and_nothing_is_no_success(prove: Proof) -> None:
    assert (await prove(case("one", HARM), case("two", None), case="t*")).outcome is Outcome.KEPT
    missed = await prove(case("one", None), case("two", None), case="three")
    assert missed.outcome is Outcome.NOT_RUN
    assert missed.reason == "no case matches 'three'; there are 2 cases"


async def test_a_refusal_by_5xx_counts_only_while_the_app_is_well(
    prove: Proof, stage: FakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def still_well(_: Stage, key: str) -> None:
        asked.append(key)
        if len(asked) > 1:
            raise StepFailedError("was answered 500", where=key)

    async def play() -> None:
        stage.doubt = "GET /x"

    monkeypatch.setattr(engine, "still_well", still_well)
    refused = Case(name="one", play=play, cause="cause")
    assert (await prove(refused)).outcome is Outcome.KEPT
    assert (await prove(refused)).outcome is Outcome.NOT_RUN
    assert asked == ["GET /x", "GET /x"]


async def test_a_finding_stands_without_evidence_where_none_can_be_written(prove: Proof, stage: FakeStage) -> None:
    prove.directory.write_text("a file, where the directory would be", encoding="utf-8")
    result = await prove(case("one", HARM))
    assert result.findings[0].evidence == ""
    assert any("evidence of AUTH900 could not be kept" in note for note in stage.setting.notes)


async def test_each_case_that_was_tried_is_told(prove: Proof) -> None:
    await prove(case("one", HARM), case("two", None))
    assert prove.events == [
        CaseTried(code="AUTH900", case="one", broken=True),
        CaseTried(code="AUTH900", case="two", broken=False),
    ]


@pytest.mark.parametrize("harm", [HARM, None])
async def test_neither_harm_nor_refusal_counts_of_a_case_in_which_a_token_had_run_out(
    prove: Proof, stage: FakeStage, harm: Harm | None
) -> None:
    async def play() -> Harm | None:
        stage.player.ran_out = "the token of owner@a had run out"
        return harm

    result = await prove(Case(name="one", play=play, cause="cause"), case("two", None))
    assert (result.outcome, result.tried) == (Outcome.NOT_RUN, 1)
    assert result.reason.startswith("one: the token of owner@a had run out")


async def test_a_token_that_had_run_out_between_two_cases_is_told_once(prove: Proof, stage: FakeStage) -> None:
    stage.player.ran_out = "the token of owner@a had run out"
    result = await prove(case("one", None), case("two", None))
    assert (result.outcome, result.tried) == (Outcome.NOT_RUN, 2)
    assert result.reason.count("had run out") == 1


async def test_of_three_hundred_reasons_some_are_told_and_the_others_are_counted(prove: Proof) -> None:
    untried = [Untried(subject=f"GET /{number}", reason=f"GET /{number}: was answered 500") for number in range(300)]
    result = await prove(*untried, case("one", None))
    assert result.outcome is Outcome.NOT_RUN
    *told, last = result.reason.splitlines()
    assert told == [f"GET /{number}: was answered 500" for number in range(10)]
    assert last.startswith("and 290 more that could not be tried: GET /10, GET /11, ")
    assert last.endswith("GET /19, …")
