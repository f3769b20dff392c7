"""What happened in a case, read from its evidence, in as many steps as fit a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from holdtrue.check.writers.html.reading import Reader
from holdtrue.check.writers.html.steps import CALLER, DATABASE, MAIL, PROVIDER, Step
from holdtrue.check.writers.html.wording import LONGEST_WORDS

MOST_STEPS = 40
"""Steps of a picture; what is left out is counted in it."""
_MORE = " more steps"
_LATER = " later"


@dataclass(frozen=True, kw_only=True)
class Story:
    """The steps of one case, in order."""

    lanes: tuple[str, ...]
    steps: tuple[Step, ...]
    left_out: int = 0
    """Steps that are counted in others."""


def story_of(entries: Sequence[Any], *, harm: str, lanes: Iterable[str] = ()) -> Story:
    """Read evidence. ``harm`` is what it came to; ``lanes`` are shown even where nothing happened on them."""
    steps = Reader().read([entry for entry in entries if isinstance(entry, Mapping)])
    total = len(steps)
    steps = _folded(_merged(steps))
    steps.append(Step(mark="harm", words=harm, bad=True, rank=3))
    used = {lane for step in steps for lane in step.touched} | set(lanes)
    return Story(lanes=_ordered(used), steps=tuple(steps), left_out=max(0, total + 1 - len(steps)))


def _ordered(lanes: set[str]) -> tuple[str, ...]:
    outside = (CALLER, PROVIDER, DATABASE, MAIL)
    inside = sorted(lanes.difference(outside), key=lambda lane: (lane == "worker", lane))
    return tuple(lane for lane in (CALLER, PROVIDER, *inside, DATABASE, MAIL) if lane in lanes)


# -- fewer steps ------------------------------------------------------------------------------------------------------


def _merged(steps: list[Step]) -> list[Step]:
    """Reads that follow each other are one step, and so are times that pass."""
    merged: list[Step] = []
    for (mark, source), run in groupby(steps, key=lambda step: (step.mark, step.source)):
        group = list(run)
        if mark == "read" and len(group) > 1:
            tables = dict.fromkeys(step.words.removeprefix("SELECT FROM ") for step in group)
            told = "; ".join(step.told for step in group)[:LONGEST_WORDS]
            words = f"{len(group)} reads: {', '.join(tables)}"[:LONGEST_WORDS]
            merged.append(replace(group[0], words=words, told=told))
        elif mark == "band" and not source and all(step.words.endswith(_LATER) for step in group):
            words = ", ".join(step.words.removesuffix(_LATER) for step in group)
            merged.append(replace(group[0], words=f"{words}{_LATER}"))
        else:
            merged += group
    return merged


def _folded(steps: list[Step]) -> list[Step]:
    """At most ``MOST_STEPS``: what matters least is counted instead of shown."""
    for rank in (0, 1, 2):
        if len(steps) <= MOST_STEPS:
            return steps
        steps = _without(steps, [step.rank <= rank for step in steps])
    if len(steps) > MOST_STEPS:
        half = MOST_STEPS // 2
        steps = _without(steps, [half <= number < len(steps) - half for number in range(len(steps))])
    return steps


def _without(steps: list[Step], dropped: list[bool]) -> list[Step]:
    left: list[Step] = []
    for drops, run in groupby(zip(steps, dropped, strict=True), key=lambda pair: pair[1]):
        group = [step for step, _ in run]
        if drops and len(group) > 1:
            count = sum(int(step.told) if step.words.endswith(_MORE) and step.told.isdigit() else 1 for step in group)
            left.append(Step(mark="band", words=f"{count}{_MORE}", told=str(count), at=group[0].at, rank=2))
        else:
            left += group
    return left
