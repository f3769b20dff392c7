"""A check says the same each time: long runs, for ./dev test --full."""

import pytest
from rehearsing import EXAMPLES, report_of, told

from holdtrue.contract.report import Report


def alike(report: Report) -> list[tuple[str, str, list[str]]]:
    """What must not differ between runs."""
    return [
        (result.code, str(result.outcome), sorted(finding.fingerprint for finding in result.findings))
        for result in report.results
    ]


@pytest.mark.full
@pytest.mark.parametrize(("app", "runs"), [("plainshop", 10), ("express-notes", 3), ("afternoon", 3)])
async def test_runs_with_other_seeds_are_alike(app: str, runs: int) -> None:
    first, *others = [await report_of(EXAMPLES / app, seed=seed) for seed in range(runs)]
    for report in others:
        assert alike(report) == alike(first), told(report.results)


@pytest.mark.full
async def test_one_stage_says_what_two_say() -> None:
    one, two = [await report_of(EXAMPLES / "plainshop", stages=stages) for stages in (1, 2)]
    assert alike(one) == alike(two), told(one.results)
