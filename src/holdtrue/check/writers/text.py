"""The check as text, for somebody who sees it for the first time: progress, findings, and the verdict in one line."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from holdtrue.check.events import (
    CaseTried,
    CheckDone,
    CheckStarted,
    Event,
    GuaranteeDone,
    GuaranteeStarted,
    StageProgress,
)
from holdtrue.check.writers.findings import OUTCOME_STYLES, OUTCOME_WORDS, counted, plain, write_report, write_verdict
from holdtrue.contract.report import Result
from holdtrue.contract.words import Outcome

_OUTCOME_WIDTH = max(len(word) for word in OUTCOME_WORDS.values())


class TextWriter:
    """Prints events. On a terminal a few live lines show what runs; elsewhere there are plain lines only.

    ``report=False`` leaves out all of the report but the verdict, for when the report goes to standard output as JSON.
    """

    def __init__(self, console: Console, *, verbose: bool = False, report: bool = True) -> None:
        self._console = console
        self._verbose = verbose
        self._report = report
        # Without a thread of its own: it is drawn anew at each event.
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._lanes: dict[int, str] = {}
        self._proofs: dict[str, _Proof] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Print one event."""
        match event:
            case CheckStarted():
                chosen = counted(len(event.codes), "guarantee")
                self._say(
                    f"Holding {event.app} to {chosen} (seed {event.seed}). Each is named by what must not happen."
                )
            case StageProgress():
                self._progress(event)
            case GuaranteeStarted():
                self._proofs[event.code] = _Proof(event)
                self._lanes[event.lane] = event.code
                if self._verbose:
                    self._say(f"  {'trying':<{_OUTCOME_WIDTH}}  {event.code}  {event.title}", style="dim")
            case CaseTried():
                self._case(event)
            case GuaranteeDone():
                self._done(event.result)
            case CheckDone():
                self._end(event)
        self._draw()

    def _progress(self, event: StageProgress) -> None:
        self._lanes[event.lane] = event.doing
        if self._live is None or self._verbose:
            self._say(f"  {event.doing}")

    def _case(self, event: CaseTried) -> None:
        proof = self._proofs.get(event.code)
        if proof is not None:
            proof.tried += 1
            proof.broken += event.broken
        if self._verbose:
            word = "broken" if event.broken else "sound"
            self._say(f"  {word:<{_OUTCOME_WIDTH}}  {event.code}  case {event.case}", style="dim")

    def _done(self, result: Result) -> None:
        proof = self._proofs.pop(result.code, None)
        if proof is not None:
            self._lanes.pop(proof.lane, None)
        if result.outcome is Outcome.NOT_PROMISED and not self._verbose:
            return
        line = Text("  ")
        line.append(f"{OUTCOME_WORDS[result.outcome]:<{_OUTCOME_WIDTH}}", style=OUTCOME_STYLES[result.outcome])
        line.append(f"  {result.code}  {plain(result.title)}")
        line.append(f"  ({counted(result.tried, 'case')}, {result.seconds:.1f} s)", style="dim")
        self._console.print(line, soft_wrap=True)

    def _end(self, event: CheckDone) -> None:
        self._lanes.clear()
        self._draw()
        if self._report:
            write_report(self._console, event.report)
        write_verdict(self._console, event.report, event.directory)

    def _say(self, words: str, *, style: str = "") -> None:
        self._console.print(Text(plain(words), style=style), soft_wrap=True)

    def _draw(self) -> None:
        if self._live is None:
            return
        lines = [self._lane(doing) for _, doing in sorted(self._lanes.items())]
        self._live.update(Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def _lane(self, doing: str) -> str:
        proof = self._proofs.get(doing)
        return plain(f"  … {proof.words() if proof is not None else doing}")


class _Proof:
    """A proof that runs."""

    def __init__(self, started: GuaranteeStarted) -> None:
        self.lane = started.lane
        self.tried = 0
        self.broken = 0
        self._name = f"{started.code}  {started.title}"
        self._since = time.monotonic()

    def words(self) -> str:
        broken = f", {self.broken} broken" if self.broken else ""
        return f"{self._name}: {counted(self.tried, 'case')} tried{broken}, {time.monotonic() - self._since:.0f} s"
