"""A story as a picture: time runs down, lanes stand side by side, and the words of each step stand beside its arrow.

Each step has a row of its own, and its words a column of their own, so that no two labels can meet.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from holdtrue.check.writers.html.steps import DATABASE, Step
from holdtrue.check.writers.html.story import Story
from holdtrue.check.writers.html.wording import moment

ADVANCE = 0.62
"""Width of a character of the monospaced fonts in use, by their size; the widest has 0.602."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The measures of a picture, in pixels."""

    name: str
    width: float
    times: float
    """Width of the column of times; 0 for none."""
    widest_gap: float
    """Between two lanes."""
    all_lanes: float
    """What all lanes together may take."""
    size: float
    """Of letters."""
    line: float
    row: float
    head: float
    """Height of the lanes' names."""
    upright: bool
    """Whether the lanes' names stand on end."""
    most_lines: int


WIDE = Form(
    name="wide", width=928, times=58, widest_gap=92, all_lanes=500, size=12, line=16, row=27, head=30,
    upright=False, most_lines=2,
)  # fmt: skip
NARROW = Form(
    name="narrow", width=358, times=0, widest_gap=25, all_lanes=150, size=11, line=14, row=25, head=66,
    upright=True, most_lines=3,
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A straight line."""

    style: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Path:
    """A shape, as SVG path data."""

    style: str
    d: str


@dataclass(frozen=True)
class Words:
    """A line of text."""

    style: str
    x: float
    y: float
    text: str
    turned: bool = False


@dataclass
class Picture:
    """What to draw, from the back to the front."""

    form: Form
    height: float
    lines: list[Line] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


def draw(story: Story, form: Form) -> Picture:
    """Lay a story out."""
    return _Drawing(story, form).picture


class _Drawing:
    def __init__(self, story: Story, form: Form) -> None:
        self.story, self.form = story, form
        count = max(1, len(story.lanes))
        gap = min(form.widest_gap, form.all_lanes / count)
        left = form.times + (gap / 2 if form.times else 12)
        self.x = {lane: round(left + gap * index, 1) for index, lane in enumerate(story.lanes)}
        last = left + gap * (count - 1)
        self.words_at = round(last + (gap / 2 + 8 if form.times else 18), 1)
        self.chars = max(12, int((form.width - self.words_at - 4) / (form.size * ADVANCE)))
        self.rows = [self._wrapped(step) for step in story.steps]
        self.y: list[float] = []
        y = form.head + form.row * 0.7
        for lines in self.rows:
            self.y.append(round(y, 1))
            y += form.row + form.line * (len(lines) - 1)
        self.bottom = round(self.y[-1] - form.row * 0.55, 1)  # the last row is what it came to, below the lanes
        self.picture = Picture(form=form, height=round(y, 1))
        self._heads()
        self._lanes()
        self._bars()
        for index, step in enumerate(story.steps):
            self._step(index, step)

    def _wrapped(self, step: Step) -> list[str]:
        room = self.chars
        if step.mark == "harm":
            room = int((self.form.width - 30) / (self.form.size * ADVANCE))
        lines = textwrap.wrap(" ".join(step.words.split()), room, max_lines=self.form.most_lines, placeholder=" …")
        return lines or [""]

    def _heads(self) -> None:
        for lane, x in self.x.items():
            if self.form.upright:
                self.picture.words.append(Words("head upright", x, self.form.head - 4, lane[:9], turned=True))
            else:
                self.picture.words.append(Words("head", x, self.form.head - 10, lane))

    def _lanes(self) -> None:
        """A lane is a line; while its process is dead, the line is broken."""
        for lane, x in self.x.items():
            top, dead = self.form.head, False
            for index, step in enumerate(self.story.steps):
                dies = step.mark == "kill"
                # That nobody answers any more is no sign of life.
                if lane not in step.touched or dies == dead or (dead and step.mark == "reply"):
                    continue
                self._lane(x, top, self.y[index], dead)
                top, dead = self.y[index], dies
            self._lane(x, top, self.bottom, dead)

    def _lane(self, x: float, top: float, bottom: float, dead: bool) -> None:
        self.picture.lines.append(Line("lane dead" if dead else "lane", x, top, x, bottom))

    def _bars(self) -> None:
        """Requests on the lane that answers them, and transactions on the database's, from begin to end."""
        spans: dict[tuple[str, str], list[int]] = {}
        for index, step in enumerate(self.story.steps):
            for span in step.spans:
                spans.setdefault(span, []).append(index)
        taken: dict[float, float] = {}
        for (lane, _), (first, *more) in spans.items():
            if lane not in self.x or not more:
                continue
            last = min([more[-1], *(index for index in self._kills(lane) if index > first)])
            x = self.x[lane]
            while taken.get(x, -1.0) > self.y[first]:
                x += 3  # transactions side by side
            taken[x] = self.y[last]
            self.picture.lines.append(
                Line("bar transaction" if lane == DATABASE else "bar", x, self.y[first] - 5, x, self.y[last] + 5)
            )

    def _kills(self, lane: str) -> Iterator[int]:
        return (index for index, step in enumerate(self.story.steps) if step.mark == "kill" and lane in step.touched)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _step(self, index: int, step: Step) -> None:
        y, form = self.y[index], self.form
        self._shape(step, y)
        style = f"words {step.mark}{' bad' if step.bad else ''}"
        x = 20.0 if step.mark == "harm" else self.words_at
        for number, line in enumerate(self.rows[index]):
            self.picture.words.append(Words(style, x, round(y + form.size * 0.35 + form.line * number, 1), line))
        if form.times and step.at is not None:
            self.picture.words.append(Words("time", form.times - 8, round(y + 4, 1), moment(step.at)))

    def _shape(self, step: Step, y: float) -> None:
        bad = " bad" if step.bad else ""
        source, target = self.x.get(step.source), self.x.get(step.target)
        paths = self.picture.paths
        if step.mark == "harm":
            return paths.append(Path("mark bad", f"M4 {y - 4:g}l8 8m0 -8l-8 8"))
        if step.mark == "band":
            return self.picture.lines.append(Line("band", min(self.x.values(), default=0) - 6, y, self.words_at - 6, y))
        if step.mark == "kill":
            for lane in step.touched:
                paths.append(Path("mark kill bad", f"M{self.x[lane] - 6:g} {y - 6:g}l12 12m0 -12l-12 12"))
            return None
        if source is None:
            return None
        if step.mark == "change":
            return paths.append(Path("solid change", f"M{source:g} {y - 5:g}l5 5l-5 5l-5 -5z"))
        if step.mark == "held":
            return paths.append(Path("mark held", f"M{source - 3:g} {y - 6:g}v12m6 -12v12"))
        if target is None:
            return paths.append(Path(f"solid dot{bad}", _disc(source, y, 3.5)))
        return self._arrow(step, source, target, y)

    def _arrow(self, step: Step, source: float, target: float, y: float) -> None:
        bad = " bad" if step.bad else ""
        way = 1 if target > source else -1
        tip = target - way * 2
        paths = self.picture.paths
        if step.mark == "cut":
            middle = (source + target) / 2
            slant = min(5.0, abs(target - source) / 5)
            self.picture.lines.append(Line("arrow bad", source, y, round(middle - way * slant, 1), y))
            self.picture.lines.append(Line("arrow dead", round(middle + way * slant, 1), y, target, y))
            paths.append(
                Path("mark bad", f"M{middle - slant:g} {y + 6:g}l{slant:g} -12m{slant * 0.8:g} 0l-{slant:g} 12")
            )
            return
        self.picture.lines.append(Line(f"arrow {step.mark}{bad}", source, y, tip, y))
        if step.mark == "commit":
            paths.append(Path(f"solid commit{bad}", _disc(target, y, 4)))
        elif step.mark == "waits":
            paths.append(Path("ring", _disc(target, y, 4.5)))
        else:
            paths.append(Path(f"tip {step.mark}{bad}", f"M{tip:g} {y:g}l{-way * 7:g} -3.5v7z"))


def _disc(x: float, y: float, radius: float) -> str:
    arc = f"a{radius:g} {radius:g} 0 1 0"
    return f"M{x - radius:g} {y:g}{arc} {radius * 2:g} 0{arc} {-radius * 2:g} 0z"
