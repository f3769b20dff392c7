"""Fills the page. All that comes from an app is text: everything is escaped, cut where it is long, and bounded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from holdtrue.check.writers.findings import (
    CONFIDENCE_WORDS,
    NOT_DECIDED,
    OUTCOME_WORDS,
    STABILITY_WORDS,
    most_blocking_first,
    plain,
    verdict_words,
    waived_part,
)
from holdtrue.check.writers.html.picture import NARROW, WIDE, Picture, draw
from holdtrue.check.writers.html.steps import MAIL
from holdtrue.check.writers.html.story import Story, story_of
from holdtrue.check.writers.html.wording import moment
from holdtrue.contract.report import Finding, Report, Result
from holdtrue.contract.words import Confidence, Outcome, Place, Verdict

MOST_FINDINGS = 200
MOST_LISTED = 100
LONGEST_TEXT = 3_000
LARGEST_EVIDENCE = 16 * 2**20
"""Bytes; a bigger file is named, and not drawn."""

_HERE = Path(__file__).parent
_TURNS_TEXT = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that change the direction of the text around them."""
_TONES = {
    Outcome.KEPT: "good",
    Outcome.BROKEN: "bad",
    Outcome.NOT_RUN: "open",
    Outcome.ERRORED: "open",
    Outcome.WAIVED: "open",
    Outcome.NOT_PROMISED: "soft",
}
_HEADINGS = {
    Verdict.HELD: ("Held.", "good"),
    Verdict.BROKEN: ("Broken.", "bad"),
    Verdict.UNDECIDED: ("Undecided.", "open"),
}
_MEANING = {
    Verdict.HELD: (
        "The app was started as it is and production was rehearsed on it. Each guarantee that it promises was tried, "
        "and what is meant to work worked in the same rehearsal. Nothing is said about what it does not promise.",
    ),
    Verdict.BROKEN: (
        "The app was started as it is and production was rehearsed on it. Each finding says what was seen, how sure "
        "that is, and which command shows it again.",
    ),
    Verdict.UNDECIDED: (
        "Nothing was seen broken, but some guarantees could not be tried. Silence is not success: below is what each "
        "of them lacked.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A finding as the page shows it."""

    result: Result
    finding: Finding
    sure: str
    suspect: bool
    case: str = ""
    story: Story | None = None
    wide: Picture | None = None
    narrow: Picture | None = None
    pictureless: str = ""
    """Why there is no picture."""

    @property
    def description(self) -> str:
        """What a screen reader says of the picture."""
        if self.story is None:
            return ""
        return (
            f"{len(self.story.steps)} steps between {', '.join(self.story.lanes) or 'nobody'}. "
            "The same is told in words below the picture."
        )


def dumps(report: Report, *, on: date) -> str:
    """Return the page. Reads the evidence that the findings name; ``on`` is the day of the check."""
    found = most_blocking_first(report.results)
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    heading, tone = _HEADINGS[report.outcome]
    used = [outcome for outcome in Outcome if any(result.outcome is outcome for result in report.results)]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            day=f"{on.day} {on:%B %Y}",
            # Only this very style sheet is allowed, and no script at all (Content Security Policy Level 3, 2.3.1).
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}",
            heading=heading,
            tone=tone,
            verdict=_sentence(verdict_words(report)),
            meaning=_MEANING[report.outcome],
            findings=[_found(result, finding) for result, finding in found[:MOST_FINDINGS]],
            contents=_contents(found[:MOST_FINDINGS]),
            more_findings=max(0, len(found) - MOST_FINDINGS),
            most_listed=MOST_LISTED,
            outcome_words=[OUTCOME_WORDS[outcome].lower() for outcome in used],
            places=list(_places(report.results, used)),
            reasons=_reasons(report.results),
            tried=sum(result.tried for result in report.results),
            possible=sum(max(result.tried, result.possible) for result in report.results),
            out_of_scope=list(report.coverage.out_of_scope.items())[:MOST_LISTED],
            lists=[(title, (items[:MOST_LISTED], max(0, len(items) - MOST_LISTED))) for title, items in _lists(report)],
            guarantees=[
                (result, _TONES[result.outcome], OUTCOME_WORDS[result.outcome].lower()) for result in report.results
            ],
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "sentence": _sentence}
    return environment


def _shown(value: Any) -> Any:
    """What is put into the page: text that can be written, read in one direction, and has an end."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = _TURNS_TEXT.sub("�", plain(value)).encode("utf-8", "replace").decode("utf-8")
    more = len(text) - LONGEST_TEXT
    return text if more <= 0 else f"{text[:LONGEST_TEXT]}… ({more} more characters)"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _found(result: Result, finding: Finding) -> Found:
    sure = [CONFIDENCE_WORDS[finding.confidence]]
    if finding.stability is not None:
        sure.append(STABILITY_WORDS[finding.stability])
    shown = Found(
        result=result,
        finding=finding,
        sure="; ".join(sure),
        suspect=finding.confidence is Confidence.SUSPECT,
    )
    return _with_picture(shown)


def _contents(found: Sequence[tuple[Result, Finding]]) -> list[tuple[str, list[tuple[int, str]]]]:
    """Numbers and places of the findings by guarantee."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for number, (result, finding) in enumerate(found, 1):
        groups.setdefault(result.title, []).append((number, finding.where))
    return list(groups.items())


def _with_picture(found: Found) -> Found:
    if not found.finding.evidence:
        return found
    kept = _evidence(Path(found.finding.evidence))
    if isinstance(kept, str):
        return replace(found, pictureless=kept)
    entries, case = kept.get("entries"), kept.get("case")
    if not isinstance(entries, list) or not entries:
        return replace(found, pictureless="The evidence has nothing to draw.")
    mailed = (MAIL,) if found.result.place is Place.EMAIL else ()
    story = story_of(entries, harm=found.result.title, lanes=mailed)
    return replace(found, case=str(case), story=story, wide=draw(story, WIDE), narrow=draw(story, NARROW))


def _evidence(path: Path) -> dict[str, Any] | str:
    """What was kept, or why it cannot be drawn."""
    try:
        if path.stat().st_size > LARGEST_EVIDENCE:
            return "The evidence is too large to be drawn."
        kept = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"There is no picture: the evidence cannot be read ({error.strerror})."
    except (ValueError, RecursionError):
        return "There is no picture: the evidence is no JSON."
    return kept if isinstance(kept, dict) else "There is no picture: the evidence is no JSON object."


def _places(results: Sequence[Result], used: Sequence[Outcome]) -> Iterable[tuple[str, list[tuple[str, int]]]]:
    for place in Place:
        outcomes = [result.outcome for result in results if result.place is place]
        if outcomes:
            yield str(place), [(_TONES[outcome], outcomes.count(outcome)) for outcome in used]


def _reasons(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    waived = [result for result in map(waived_part, results) if result.outcome is Outcome.WAIVED]
    return [
        (
            "Not decided: promised, but no proof could be carried out",
            [result for result in results if result.outcome in NOT_DECIDED],
        ),
        ("Waived: broken or not run, and accepted for now", waived),
    ]


def _lists(report: Report) -> list[tuple[str, list[str]]]:
    return [
        ("What weakens this check or its document", report.notes),
        ("Refused calls to the outside: the app tried to reach these, and nothing left the machine", report.egress),
        ("Not modelled: the app asked a double for these, and the double does not know them", report.unmodelled),
        ("Not compared: columns whose values differ between equal runs, such as times and random ids", report.noise),
    ]
