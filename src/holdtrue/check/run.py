"""Runs a check: reads the document and the files, sets the stage, proves guarantees side by side, writes the report."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from holdtrue.check import composed, rules, waivers
from holdtrue.check.events import CheckDone, CheckStarted, Event, GuaranteeDone, GuaranteeStarted, StageProgress
from holdtrue.check.keep import RunDirectory
from holdtrue.check.prove import Order, prove, unproved
from holdtrue.check.select import select
from holdtrue.check.surveyed import compare
from holdtrue.check.waiting import Waiting
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.project import read_project
from holdtrue.contract.reader import Loaded, read
from holdtrue.contract.report import Coverage, Reached, Report, Result, Summary
from holdtrue.contract.words import Outcome, verdict
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
    rules: bool = False
    """Read the app's files and start nothing: rules alone."""
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


@dataclass(kw_only=True)
class _Run:
    """One check on its way: what it is about, and what is known so far."""

    options: Options
    loaded: Loaded
    chosen: list[Guarantee]
    order: Order
    started: float
    inspected: dict[str, rules.Inspected]
    tell: Callable[[Event], None]
    results: dict[str, Result] = field(default_factory=dict)

    def done(self, result: Result) -> None:
        """Keep what a rehearsal came to, with what a rule has found."""
        result = rules.joined(result, self.inspected.get(result.code))
        self.results[result.code] = result
        self.tell(GuaranteeDone(result=result))

    def report(self, setting: Setting | None = None, *, not_set: str = "") -> Report:
        """What is known now. ``not_set``: why there was no stage for the rest."""
        document = self.loaded.document
        for guarantee in self.chosen:
            if guarantee.code not in self.results:
                result = self.results[guarantee.code] = self._without_a_stage(guarantee, not_set)
                if not not_set:
                    self.tell(GuaranteeDone(result=result))
        results = [waivers.applied(self.results[each.code], document, date.today()) for each in self.chosen]
        notes = [f"the stage could not be set: {not_set}"] if not_set else []
        return _report(
            self.loaded,
            setting,
            results,
            notes=notes,
            seed=self.order.seed,
            narrowed=_narrowed(self.options, self.chosen),
            seconds=time.monotonic() - self.started,
        )

    def _without_a_stage(self, guarantee: Guarantee, not_set: str) -> Result:
        read = self.inspected.get(guarantee.code)
        if read is not None and (guarantee.rehearse is None or self.options.rules):
            return rules.alone(guarantee, read)
        if not guarantee.subjects(self.loaded.document):
            return unproved(guarantee, Outcome.NOT_PROMISED, "the document declares nothing it is about")
        first = not_set.partition("\n")[0].rstrip(":")
        return rules.joined(unproved(guarantee, Outcome.NOT_RUN, f"the stage could not be set: {first}"), read)


async def _check(options: Options, tell: Callable[[Event], None]) -> None:
    started = time.monotonic()
    loaded = read(options.directory)
    chosen = select(options.only, options.places, rules=options.rules)
    python = options.python
    if loaded.lock is not None and not options.rules:
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
    order = Order(
        directory=options.directory,
        evidence=kept.evidence,
        seed=seed,
        case=options.case,
        locate=lambda clause: str(loaded.locate(clause)),
        source=loaded.source,
    )
    inspected = rules.inspect(chosen if options.case is None else (), loaded.document, order, loaded.path.parent)
    run = _Run(
        options=options,
        loaded=loaded,
        chosen=chosen,
        order=order,
        started=started,
        inspected=inspected,
        tell=tell,
    )
    try:
        report = run.report() if options.rules else await _rehearsed(run, kept, python)
        kept.write(report)
    finally:
        kept.remove_if_empty()
    tell(CheckDone(report=report, directory=kept.path))


async def _rehearsed(run: _Run, kept: RunDirectory, python: str | None) -> Report:
    """Set the stage and prove. Where it cannot be set, what rules have found is reported all the same."""
    loaded, tell = run.loaded, run.tell
    try:
        async with AsyncExitStack() as stack:
            setting = await stack.enter_async_context(
                Setting.prepare(
                    loaded.document,
                    loaded.path.parent,
                    seed=run.order.seed,
                    logs=kept.logs,
                    keep=run.options.keep,
                    python=python,
                    tell=lambda doing: tell(StageProgress(doing=doing)),
                )
            )
            await _prove_all(run, setting)
            return run.report(setting)
    except HoldtrueError as error:
        if kept.logs.exists() and not isinstance(error, UsageError):
            tell(StageProgress(doing=f"the app's logs are in {kept.logs}"))
        if isinstance(error, UsageError) or not any(each.breaks for each in run.inspected.values()):
            raise
        return run.report(not_set=str(error))


def _narrowed(options: Options, chosen: list[Guarantee]) -> str:
    """What narrowed the check, as it stands on the command line."""
    words: list[tuple[str, ...]] = []
    if options.rules:
        words.append(("--rules",))
    if len(chosen) < len(ALL):
        words += [("--only", code) for code in options.only] + [("--place", place) for place in options.places]
    if options.case is not None:
        words.append(("--case", options.case))
    return shlex.join(part for each in words for part in each)


async def _prove_all(run: _Run, setting: Setting) -> None:
    """Let each stage take the heaviest guarantee that is left, until none is; what needs no app is proved beside."""
    promised = [guarantee for guarantee in run.chosen if guarantee.subjects(run.loaded.document)]
    rehearsed = [guarantee for guarantee in promised if guarantee.rehearse is not None]
    heaviest_first = sorted(rehearsed, key=lambda guarantee: -guarantee.weight)
    staged = Waiting(guarantee for guarantee in heaviest_first if guarantee.staged)
    beside = Waiting(guarantee for guarantee in heaviest_first if not guarantee.staged)

    async def work(stage: Stage, waiting: Waiting) -> None:
        """Take one after the other, at least one on each scene, as long as the cast's tokens are good for it."""
        first = True
        while (first or not _wanes(setting)) and (guarantee := waiting.take(stage.lane)) is not None:
            run.tell(GuaranteeStarted(code=guarantee.code, title=guarantee.title, lane=stage.lane))
            result = await prove(guarantee, stage, run.order, run.tell)
            if result.outcome is Outcome.NOT_RUN and not first and _is_over(setting):
                waiting.put_back(guarantee)  # with new tokens it may be tried to its end
                return
            run.done(result)
            first = False

    lanes = min(run.options.stages or min(MOST_STAGES, os.cpu_count() or 1), max(1, len(staged)))

    async def on_stages() -> None:
        await setting.migrate()
        async with setting.stages(lanes) as stages:
            setting.notes.update(await compare(run.loaded, stages[0]))
            await together(*(work(stage, staged) for stage in stages))
        while staged:
            run.tell(StageProgress(doing="the cast's tokens run out: everybody signs in anew"))
            try:
                await setting.forget_scene()
                async with setting.stages(min(lanes, len(staged))) as stages:
                    await together(*(work(stage, staged) for stage in stages))
            except HoldtrueError as error:
                reason = f"the cast's tokens ran out, and the scene could not be set again: {error}"
                while (left := staged.take(0)) is not None:
                    run.done(unproved(left, Outcome.NOT_RUN, reason))

    async def beside_them() -> None:
        await setting.first_is_up.wait()  # everybody waits for the app: nothing is to take its processors before that
        async with setting.backstage(lanes) as stage:
            await work(stage, beside)

    await together(on_stages(), beside_them())


def _wanes(setting: Setting) -> bool:
    """Whether the cast's tokens may not last for another proof."""
    return setting.lifetime is not None and setting.lifetime.wanes(time.time())


def _is_over(setting: Setting) -> bool:
    """Whether a token of the cast has run out."""
    return setting.lifetime is not None and setting.lifetime.is_over(time.time())


def _report(
    loaded: Loaded,
    setting: Setting | None,
    results: list[Result],
    *,
    notes: list[str],
    seed: int,
    narrowed: str,
    seconds: float,
) -> Report:
    document = loaded.document
    out_of_scope = {
        key: route.out_of_scope for key, route in document.routes.items() if route.out_of_scope is not None
    } | document.tables_out_of_scope
    reached = setting.reached & set(document.routes) if setting else set()
    return Report(
        app=document.app.name,
        outcome=verdict([result.outcome for result in results]),
        narrowed=narrowed,
        summary=Summary(**Counter(str(result.outcome) for result in results)),
        coverage=Coverage(
            routes=Reached(total=len(document.routes), reached=len(reached)),
            out_of_scope=out_of_scope,
        ),
        results=results,
        notes=[*(str(note) for note in loaded.notes), *notes, *sorted(setting.notes if setting else ())],
        noise=sorted(setting.noise if setting else ()),
        unmodelled=sorted(setting.unmodelled if setting else ()),
        egress=sorted(setting.egress if setting else ()),
        seed=seed,
        seconds=round(seconds, 2),
    )
