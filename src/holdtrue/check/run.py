"""Runs a check: reads the document, sets the stage, proves the chosen guarantees side by side, writes the report."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from holdtrue.check import composed, waivers
from holdtrue.check.events import CheckDone, CheckStarted, Event, GuaranteeDone, GuaranteeStarted, StageProgress
from holdtrue.check.keep import RunDirectory
from holdtrue.check.prove import Order, prove
from holdtrue.check.select import select
from holdtrue.check.surveyed import compare
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.project import read_project
from holdtrue.contract.reader import Loaded, read
from holdtrue.contract.report import Coverage, Reached, Report, Result, Summary
from holdtrue.contract.words import verdict
from holdtrue.guarantees import ALL
from holdtrue.guarantees.base import Guarantee
from holdtrue.stage import Setting, Stage
from holdtrue.stage.setting import together

MOST_STAGES = 2
"""Stages that run side by side unless asked otherwise: the proofs wait for the app more than they compute."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a check is asked to do."""

    directory: Path
    only: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    case: str | None = None
    seed: int | None = None
    stages: int | None = None
    keep: bool = False
    """Keep the scratch directory with the app's copy and logs."""
    python: str | None = None
    """An interpreter to run the app with, instead of the document's."""


async def check(options: Options) -> AsyncGenerator[Event, None]:
    """Hold the app in ``options.directory`` to its document, and say what happens meanwhile.

    Raises:
        UsageError: the document or the options are wrong; nothing was started.
        HoldtrueError: the stage could not be set.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.create_task(_check(options, events.put_nowait))
    task.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _check(options: Options, tell: Callable[[Event], None]) -> None:
    started = time.monotonic()
    loaded = read(options.directory)
    chosen = select(options.only, options.places)
    python = options.python
    if loaded.lock is not None:
        python = composed.interpreter(loaded.path.parent, read_project(loaded.path.parent), options.python)
        await composed.verify(loaded, python)
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    tell(
        CheckStarted(
            app=loaded.document.app.name,
            directory=options.directory,
            seed=seed,
            codes=tuple(guarantee.code for guarantee in chosen),
        )
    )
    kept = RunDirectory.create(loaded.path.parent)
    try:
        async with AsyncExitStack() as stack:
            setting = await stack.enter_async_context(
                Setting.prepare(
                    loaded.document,
                    loaded.path.parent,
                    seed=seed,
                    logs=kept.logs,
                    keep=options.keep,
                    python=python,
                    tell=lambda doing: tell(StageProgress(doing=doing)),
                )
            )
            results = await _prove_all(options, loaded, chosen, setting, kept, tell)
            seconds = time.monotonic() - started
            report = _report(loaded, setting, results, narrowed=_narrowed(options, chosen), seconds=seconds)
    except HoldtrueError as error:
        if kept.logs.exists() and not isinstance(error, UsageError):
            tell(StageProgress(doing=f"the app's logs are in {kept.logs}"))
        raise
    finally:
        kept.remove_if_empty()
    kept.write(report)
    tell(CheckDone(report=report, directory=kept.path))


def _narrowed(options: Options, chosen: list[Guarantee]) -> str:
    """What narrowed the check, as it stands on the command line."""
    words: list[tuple[str, str]] = []
    if len(chosen) < len(ALL):
        words += [("--only", code) for code in options.only] + [("--place", place) for place in options.places]
    if options.case is not None:
        words.append(("--case", options.case))
    return shlex.join(part for pair in words for part in pair)


async def _prove_all(
    options: Options,
    loaded: Loaded,
    chosen: list[Guarantee],
    setting: Setting,
    kept: RunDirectory,
    tell: Callable[[Event], None],
) -> list[Result]:
    """Let each stage take the heaviest guarantee that is left, until none is; what needs no app is proved beside."""
    order = Order(
        directory=options.directory,
        evidence=kept.evidence,
        seed=setting.seed,
        case=options.case,
        locate=lambda clause: str(loaded.locate(clause)),
        source=loaded.source,
    )
    promised = [guarantee for guarantee in chosen if guarantee.subjects(loaded.document)]
    heaviest_first = sorted(promised, key=lambda guarantee: -guarantee.weight)
    staged = [guarantee for guarantee in heaviest_first if guarantee.staged]
    beside = [guarantee for guarantee in heaviest_first if not guarantee.staged]
    results: dict[str, Result] = {}

    async def work(stage: Stage, waiting: list[Guarantee]) -> None:
        while waiting:
            guarantee = waiting.pop(0)
            tell(GuaranteeStarted(code=guarantee.code, title=guarantee.title, lane=stage.lane))
            results[guarantee.code] = await prove(guarantee, stage, order, tell)
            tell(GuaranteeDone(result=results[guarantee.code]))

    lanes = min(options.stages or min(MOST_STAGES, os.cpu_count() or 1), max(1, len(staged)))

    async def on_stages() -> None:
        await setting.migrate()
        async with setting.stages(lanes) as stages:
            setting.notes.update(await compare(loaded, stages[0]))
            await together(*(work(stage, staged) for stage in stages))

    async def beside_them() -> None:
        await setting.first_is_up.wait()  # everybody waits for the app: nothing is to take its processors before that
        async with setting.backstage(lanes) as stage:
            for guarantee in chosen:
                if guarantee not in promised:
                    results[guarantee.code] = await prove(guarantee, stage, order, tell)
            await work(stage, beside)

    await together(on_stages(), beside_them())
    return [waivers.applied(results[guarantee.code], loaded.document, date.today()) for guarantee in chosen]


def _report(loaded: Loaded, setting: Setting, results: list[Result], *, narrowed: str, seconds: float) -> Report:
    document = loaded.document
    out_of_scope = {
        key: route.out_of_scope for key, route in document.routes.items() if route.out_of_scope is not None
    } | document.tables_out_of_scope
    return Report(
        app=document.app.name,
        outcome=verdict([result.outcome for result in results]),
        narrowed=narrowed,
        summary=Summary(**Counter(str(result.outcome) for result in results)),
        coverage=Coverage(
            routes=Reached(total=len(document.routes), reached=len(setting.reached & set(document.routes))),
            out_of_scope=out_of_scope,
        ),
        results=results,
        notes=[*(str(note) for note in loaded.notes), *sorted(setting.notes)],
        noise=sorted(setting.noise),
        unmodelled=sorted(setting.unmodelled),
        egress=sorted(setting.egress),
        seed=setting.seed,
        seconds=round(seconds, 2),
    )
