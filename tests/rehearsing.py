"""Runs a check inside the test's own process."""

from pathlib import Path

from holdtrue.check.events import CheckDone
from holdtrue.check.run import Options, check
from holdtrue.contract.report import Report, Result

EXAMPLES = Path(__file__).parents[1] / "examples"
SEED = 20_261_122


async def report_of(directory: Path, **options: object) -> Report:
    """The report of a check that ends."""
    seed = options.pop("seed", SEED)
    print(f"seed {seed}")
    report: Report | None = None
    async for event in check(Options(directory=directory, seed=seed, **options)):
        if isinstance(event, CheckDone):
            report = event.report
    assert report is not None
    return report


def told(results: list[Result]) -> str:
    """Results for a person to read when an assertion fails."""
    lines = []
    for result in results:
        lines.append(f"{result.code} {result.outcome} ({result.tried} tried) {result.reason}")
        lines += [f"    {finding.where}: {finding.seen}" for finding in result.findings]
    return "\n".join(lines)
