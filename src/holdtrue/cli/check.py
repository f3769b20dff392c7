"""``holdtrue check``: runs a check, lets the writers listen to it, and turns the verdict into an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console

from holdtrue.check.events import CheckDone, Event
from holdtrue.check.writers import json as json_writer
from holdtrue.check.writers import output
from holdtrue.check.writers.text import TextWriter
from holdtrue.cli.extras import needs_extra
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.imports import uncollected
from holdtrue.contract.report import Report
from holdtrue.contract.words import Verdict

EXIT_CODES = {Verdict.HELD: 0, Verdict.BROKEN: 1, Verdict.UNDECIDED: 3}

STDOUT = "-"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    directory: Path
    only: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    case: str | None = None
    seed: int | None = None
    stages: int | None = None
    rules: bool = False
    """Read the app's files alone, and start nothing."""
    json: str | None = None
    """A file for the JSON report; ``-`` is standard output."""
    sarif: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    baseline: bool = False
    """Accept for now what is broken, by dated waivers."""
    keep: bool = False
    python: str | None = None
    verbose: bool = False


def run(request: Request) -> int:
    """Run a check and return the exit code.

    Raises:
        UsageError: wrong usage or configuration, or the extra is not installed.
        HoldtrueError: the check could not run.
        KeyboardInterrupt: it was ended from outside; everything it started has been ended.
    """
    try:
        report = asyncio.run(_check(request))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        # Nobody reads any more. The interpreter's last flush must not fail for the same reason.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise HoldtrueError("standard output was closed before the verdict") from None
    except ExceptionGroup as group:
        # Stages that ran side by side failed together; one cause says enough.
        known = group.subgroup(HoldtrueError)
        if known is None:
            raise
        raise _first(known) from group
    return EXIT_CODES[report.outcome]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _check(request: Request) -> Report:
    with needs_extra("check"), uncollected():
        from holdtrue.check.run import Options, check

        if request.html is not None:
            from holdtrue.check.writers import html
        if request.sarif is not None:
            from holdtrue.check.writers import sarif
        if request.junit is not None:
            from holdtrue.check.writers import junit

    _end_on_signals()
    to_stdout = request.json == STDOUT
    json_file = Path(request.json) if request.json is not None and not to_stdout else None
    output.refuse_missing(json_file, request.sarif, request.junit, request.html)
    options = Options(
        directory=request.directory,
        only=request.only,
        places=request.places,
        case=request.case,
        seed=request.seed,
        stages=request.stages,
        rules=request.rules,
        keep=request.keep,
        python=request.python,
    )
    # Rules alone hold no app, so such a report need not say for the gate what it is about.
    before = None if request.rules else _subject(request.directory)
    console = Console(stderr=to_stdout, highlight=False, markup=False, emoji=False)
    with TextWriter(console, verbose=request.verbose, report=not to_stdout) as text:
        # Closed here and now, so that a failing writer ends the app's processes as well.
        async with aclosing(check(options)) as events:
            report, kept = await _told(events, text)
    if before is not None and before == _subject(request.directory):
        from holdtrue.gate import held

        held.bind(kept, before, before)
    if request.json is not None:
        output.put(json_writer.dumps(report), json_file or sys.stdout)
    if request.sarif is not None:
        output.put(sarif.dumps(report, Path.cwd()), request.sarif)
    if request.junit is not None:
        output.put(junit.dumps(report), request.junit)
    if request.html is not None:
        output.put(html.dumps(report, on=datetime.now(UTC).date()), request.html)
    if request.baseline:
        _write_baseline(request.directory, report, console)
    return report


def _write_baseline(directory: Path, report: Report, console: Console) -> None:
    from holdtrue.check import baseline
    from holdtrue.contract import reader
    from holdtrue.contract.project import PROJECT_NAME

    loaded = reader.read(directory)
    file = loaded.path if loaded.lock is None else loaded.path.parent / PROJECT_NAME
    written = baseline.write_baseline(report, file, date.today())
    if not written:
        console.print("Baseline: nothing is broken that is not waived already; nothing was written.")
        return
    total = sum(len(waiver.findings) for waiver in written)
    console.print(
        f"Baseline: {total} finding{'' if total == 1 else 's'} waived until {written[0].until} in {file}. "
        "From the next check on, only others break the verdict. Name there who answers for them.",
        soft_wrap=True,
    )


async def _told(events: AsyncIterator[Event], tell: Callable[[Event], None]) -> tuple[Report, Path]:
    done: CheckDone | None = None
    async for event in events:
        tell(event)
        if isinstance(event, CheckDone):
            done = event
    if done is None:
        raise HoldtrueError("the check ended without a report; nothing was decided")
    return done.report, done.directory


def _subject(directory: Path) -> dict[str, str] | None:
    """Digests of what a report is about, for the gate; None where there is no telling, so that it admits nothing."""
    from holdtrue.gate import state

    try:
        return state.source_and_document(directory)
    except HoldtrueError:
        return None


def _end_on_signals() -> None:
    """End in order on SIGTERM and Ctrl-C: the app's processes and the scratch database must not outlive the check.

    SIGINT is named as well: a check that a script starts in the background inherits that it is ignored.
    """
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
