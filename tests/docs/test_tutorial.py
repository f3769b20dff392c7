"""The tutorial, carried out."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from holdtrue.check.events import CheckDone
from holdtrue.check.run import Options, check
from holdtrue.contract.report import Report
from holdtrue.contract.words import Verdict

Pages = Any
TUTORIAL = "docs/tutorial/adopt-an-app.md"
SEED = 1


class Reader:
    """Somebody who follows the tutorial in a directory."""

    def __init__(self, pages: Pages, directory: Path) -> None:
        self.directory = directory
        self.documents = [block.text for block in pages.of(TUTORIAL, "toml")]
        self.code = [block.text for block in pages.of(TUTORIAL, "python")]
        self.shown = [block.text for block in pages.of(TUTORIAL, "text")]
        (directory / "app.py").write_text(self.code[0], encoding="utf-8")
        (directory / "migrate.py").write_text(self.code[1], encoding="utf-8")

    def append_document(self) -> None:
        with (self.directory / "holdtrue.toml").open("a", encoding="utf-8") as file:
            file.write(self.documents.pop(0))

    def mend(self) -> None:
        path = self.directory / "app.py"
        source = path.read_text(encoding="utf-8")
        header = self.code[-1].partition("\n")[0]
        path.write_text(source[: source.index(header)] + self.code[-1], encoding="utf-8")

    async def check(self) -> Report:
        # The requirements of the tutorial's app are among those of the tests: no environment need be built.
        options = Options(directory=self.directory, python=sys.executable, seed=SEED)
        async for event in check(options):
            if isinstance(event, CheckDone):
                return event.report
        raise AssertionError("the check ended without a report")


@pytest.mark.full
async def test_whoever_follows_the_tutorial_sees_what_it_shows(pages: Pages, tmp_path: Path) -> None:
    reader = Reader(pages, tmp_path)
    reader.append_document()
    alone = await reader.check()
    reader.append_document()
    cast = await reader.check()
    reader.append_document()
    leaking = await reader.check()
    reader.mend()
    mended = await reader.check()

    assert [report.outcome for report in (alone, cast, leaking, mended)] == [
        Verdict.HELD,
        Verdict.HELD,
        Verdict.BROKEN,
        Verdict.HELD,
    ]
    assert alone.summary.not_promised == 11
    assert "\n".join(f"   {note}" for note in alone.notes) in "".join(reader.shown)
    assert cast.notes == []
    assert (cast.summary.kept, mended.summary.kept) == (2, 3)
    finding = next(finding for result in leaking.results for finding in result.findings)
    page = " ".join(" ".join(shown.split()) for shown in reader.shown)
    for told in (finding.code, finding.seen, finding.why, finding.do, finding.do_not):
        assert " ".join(told.split()) in page
    assert re.search(r"--case 'GET /notes/\{note_id\} as owner@b' --seed 1", finding.replay)
