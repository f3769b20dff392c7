"""The three example apps: two sound ones are accused of nothing, the hurried one is broken in all six places."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
from rehearsing import EXAMPLES, report_of, told

from holdtrue.contract.words import Outcome, Place, Stability, Verdict
from holdtrue.guarantees import ALL

EXPRESS_HAS_NO = {"AUTH003", "AUTH023", "REL043"}
ONE_OF_EACH_PLACE = ("AUTH001", "PAY011", "MAIL050", "AUD001", "TEN042", "REL058")


def copy_of(name: str, to: Path) -> Path:
    """A copy of an example, so that tests may run side by side."""
    return Path(shutil.copytree(EXAMPLES / name, to / name, ignore=shutil.ignore_patterns(".holdtrue", "node_modules")))


@pytest.mark.xdist_group("plainshop")
async def test_the_sound_shop_is_held_by_all_with_nothing_left_untried(tmp_path: Path) -> None:
    report = await report_of(copy_of("plainshop", tmp_path))
    assert report.outcome is Verdict.HELD, told(report.results)
    assert report.summary.kept == len(ALL) == 45
    assert report.coverage.routes.reached == report.coverage.routes.total
    assert report.egress == []
    assert report.unmodelled == []


async def test_the_sound_express_app_is_held_by_what_it_promises(tmp_path: Path) -> None:
    report = await report_of(copy_of("express-notes", tmp_path))
    assert report.outcome is Verdict.HELD, told(report.results)
    absent = [result for result in report.results if result.outcome is Outcome.NOT_PROMISED]
    assert {result.place for result in absent} >= {Place.PAYMENTS, Place.EMAIL}
    others = {result.code for result in absent if result.place not in (Place.PAYMENTS, Place.EMAIL)}
    assert others == EXPRESS_HAS_NO, "no scopes, no endings of sessions, no revisions that are files"


@pytest.mark.parametrize("only", [("AUTH001", "REL032"), pytest.param((), marks=pytest.mark.full, id="whole")])
async def test_the_composed_shop_is_held_by_all_it_promises_with_nothing_left_untried(
    only: tuple[str, ...], tmp_path: Path
) -> None:
    """Locked anew in the copy: what the modules promise may have changed since the example was locked."""
    shop = copy_of("shop", tmp_path)
    locking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; from holdtrue.cli.main import main; sys.exit(main())", "lock"), cwd=shop
    )
    assert await locking.wait() == 0
    report = await report_of(shop, only=only)
    assert report.outcome is Verdict.HELD, told(report.results)
    assert report.egress == []
    if only:
        assert report.summary.kept == len(only)
        return
    absent = {result.code for result in report.results if result.outcome is Outcome.NOT_PROMISED}
    assert absent == {"AUTH003", "PAY016", "MAIL055"}, "no scopes, no plans, no HTML mails"
    assert report.summary.kept == len(ALL) - len(absent)


@pytest.mark.parametrize("only", [ONE_OF_EACH_PLACE, pytest.param((), marks=pytest.mark.full, id="whole")])
def test_the_afternoon_shop_is_broken_in_all_six_places(only: tuple[str, ...], tmp_path: Path) -> None:
    report = asyncio.run(report_of(copy_of("afternoon", tmp_path), only=only))
    assert report.outcome is Verdict.BROKEN
    broken = [result for result in report.results if result.outcome is Outcome.BROKEN]
    assert {result.place for result in broken} == set(Place) - {Place.CORE}, told(report.results)
    for finding in (finding for result in broken for finding in result.findings):
        assert finding.stability is Stability.DETERMINISTIC, finding
        assert json.loads(Path(finding.evidence).read_text(encoding="utf-8"))["entries"]
        assert finding.replay.startswith("holdtrue check ")
