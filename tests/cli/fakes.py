"""A check and guarantees made by hand, in place of the real ones."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from holdtrue.check.events import CheckDone, CheckStarted, Event
from holdtrue.contract.report import Coverage, Reached, Report, Summary
from holdtrue.contract.words import Place, Severity, Verdict

Play = Callable[[Any], AsyncIterator[Event]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """As the engine has them."""

    directory: Path
    only: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    case: str | None = None
    seed: int | None = None
    stages: int | None = None
    keep: bool = False
    python: str | None = None
    rules: bool = False


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """As ``explain`` reads it."""

    code: str
    place: Place
    title: str
    severity: Severity = Severity.CRITICAL
    promise: str = "A webhook changes the books once, however often it comes."
    sections: dict[str, str] = field(default_factory=dict)


GUARANTEES = (
    Guarantee(
        code="PAY009",
        place=Place.PAYMENTS,
        title="A webhook is applied twice",
        sections={
            "What production does": "Stripe delivers every event at least once.",
            "Wrong": "::\n\n    if not seen(event): apply(event)",
        },
    ),
    Guarantee(code="TEN003", place=Place.TENANCY, title="A row is read by another tenant"),
    Guarantee(code="PAY001", place=Place.PAYMENTS, title="A forged webhook is believed", severity=Severity.HIGH),
)


def report(outcome: Verdict) -> Report:
    return Report(
        app="Plain shop",
        outcome=outcome,
        summary=Summary(kept=1),
        coverage=Coverage(routes=Reached(total=1, reached=1)),
        results=[],
        seed=7,
        seconds=1.0,
    )


def ends_with(outcome: Verdict, asked: list[Options] | None = None) -> Play:
    """A check that ends at once."""

    async def check(options: Options) -> AsyncIterator[Event]:
        if asked is not None:
            asked.append(options)
        yield CheckStarted(app="Plain shop", directory=options.directory, seed=7, codes=("PAY009",))
        yield CheckDone(report=report(outcome), directory=Path(".holdtrue/runs/1"))

    return check


def install(monkeypatch: pytest.MonkeyPatch, play: Play) -> None:
    """Let ``holdtrue check`` run ``play``."""
    module = ModuleType("holdtrue.check.run")
    module.check = play  # type: ignore[attr-defined]
    module.Options = Options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "holdtrue.check.run", module)


def install_guarantees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``holdtrue explain`` know the guarantees above."""
    module = ModuleType("holdtrue.guarantees")
    module.ALL = GUARANTEES  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "holdtrue.guarantees", module)
