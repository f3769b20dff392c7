"""The report as a page: whole, bounded, and nothing in it that an app said is more than text."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from happenings import KILLED, RACED, Entries, finding, kept, report, request, statement
from hypothesis import given
from hypothesis import strategies as st

from holdtrue.check.writers.html import dumps
from holdtrue.check.writers.html.page import LONGEST_TEXT, MOST_FINDINGS
from holdtrue.check.writers.html.picture import ADVANCE, NARROW, WIDE, Form, Picture, draw
from holdtrue.check.writers.html.story import MOST_STEPS, Story, story_of
from holdtrue.check.writers.html.wording import short_sql
from holdtrue.contract.report import Coverage, Finding, Reached, Report, Result
from holdtrue.contract.words import Outcome, Place, Verdict

DAY = date(2026, 11, 22)
NASTY = "<script>document.title=1</script><img src=//x.test onerror=alert(1)>\"' style=x]]>&\x1b\u202e\ud800{{ 7*7 }}"
ALLOWED = {"class", "id", "href", "role", "tabindex", "lang", "charset", "content", "http-equiv", "name", "scope"}
DRAWN = {"viewbox", "x", "y", "x1", "y1", "x2", "y2", "d", "transform"}


class Parsed(HTMLParser):
    """Elements, their attributes, and the text of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style += data
            self._inside = ""
        else:
            self.text += data


def page_of(*findings: Finding, **more: object) -> Parsed:
    page = dumps(report(*findings, **more), on=DAY)
    page.encode("utf-8")
    return Parsed(page)


def test_the_page_says_everything_that_a_finding_has(tmp_path: Path) -> None:
    found = finding("PAY011", kept(tmp_path, "PAY011", KILLED))
    page = page_of(
        found,
        coverage=Coverage(routes=Reached(total=14, reached=12), out_of_scope={"GET /old": "goes away"}),
        notes=["no guard"], noise=["orders.paid_at"], unmodelled=["POST /v1/x"], egress=["api.test:443"],
    )  # fmt: skip
    for words in (
        "Broken.", "22 November 2026", "Promise PAY011 broken", found.seen, found.where, found.source, found.clause,
        found.why, found.do, found.do_not, found.replay, found.evidence, "case of PAY011", "proved: a rehearsal",
        "12 of 14 declared routes", "5 of 11 possible cases", "goes away", "no guard", "orders.paid_at", "POST /v1/x",
        "api.test:443", "3 of 9", "Seed 7",
    ):  # fmt: skip
        assert words in page.text, words


def test_a_held_app_has_a_page_without_findings() -> None:
    page = page_of()
    assert "Held." in page.text
    assert "findings" not in page.text
    assert not [tag for tag, _ in page.elements if tag == "svg"]


def test_an_undecided_guarantee_says_what_it_lacked() -> None:
    missing = Result(
        code="REL032", place=Place.RELEASES, title="No way down", outcome=Outcome.NOT_RUN, reason="no [migrations]"
    )
    page = page_of(outcome=Verdict.UNDECIDED, results=[missing])
    assert "Undecided." in page.text
    assert "no [migrations]" in page.text


def test_what_an_app_says_is_text_and_nothing_else(tmp_path: Path) -> None:
    entries = json.loads(json.dumps([*KILLED, *RACED]), object_hook=_nasty)
    named = kept(tmp_path, "PAY011", entries)
    texts = dict.fromkeys(("seen", "where", "source", "clause", "why", "do", "do_not", "replay"), NASTY)
    page = page_of(finding("PAY011", named, **texts, cases=[NASTY, NASTY]), app=NASTY, notes=[NASTY], noise=[NASTY])
    for tag, attributes in page.elements:
        assert tag not in ("script", "img", "link", "iframe", "object", "base", "form"), tag
        more = {name for name in attributes if not name.startswith("aria-")} - ALLOWED - DRAWN
        assert not more, (tag, more)
        assert tag != "a" or str(attributes["href"]).startswith("#finding-")
    assert page.text.count("<script>document.title=1</script>") > 20
    assert page.text.count("{{ 7*7 }}") > 20, "a template's own words are text, too"
    for char in "\x1b\u202e\ud800":
        assert char not in page.text


def _nasty(entry: dict[str, Any]) -> dict[str, Any]:
    keep = ("kind", "process", "becomes", "outcome", "sort", "when")
    return {
        name: f"{value}{NASTY}" if isinstance(value, str) and name not in keep else value
        for name, value in entry.items()
    }


def test_the_policy_allows_the_page_s_own_style_sheet_alone() -> None:
    page = page_of()
    [policy] = [
        str(attributes["content"])
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in policy
    assert not [attributes for _, attributes in page.elements if "style" in attributes]


def test_a_page_has_an_end_whatever_the_evidence_has(tmp_path: Path) -> None:
    entries = [request(0, "POST /x", "200"), *(statement(number, "UPDATE t SET a = 1") for number in range(5_000))]
    entries[1_000] = {"kind": "kill", "at": 1_000, "processes": ["web1"]}
    found = finding("PAY011", kept(tmp_path, "PAY011", entries), seen="x" * 10**6)
    page = dumps(report(found), on=DAY)
    assert len(page) < 150_000
    assert "SIGKILL" in page
    assert f"({10**6 - LONGEST_TEXT} more characters)" in page
    story = story_of(entries, harm="broken")
    assert len(story.steps) <= MOST_STEPS + 1
    told = sum(int(step.told) for step in story.steps if step.words.endswith("more steps"))
    assert told + len([step for step in story.steps if not step.words.endswith("more steps")]) == 5_003
    many = dumps(report(*[finding(f"PAY{number}", "") for number in range(MOST_FINDINGS + 50)]), on=DAY)
    assert "50 more are in the JSON report" in many
    assert many.count("<article") == MOST_FINDINGS


@pytest.mark.parametrize("text", [None, "no json", "[]", '{"entries": {}}', "[" * 100_000, '{"entries": [1, null]}'])
def test_evidence_that_cannot_be_drawn_leaves_a_finding_without_a_picture(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "evidence.json"
    if text is not None:
        path.write_text(text)
    page = page_of(finding("PAY011", str(path)))
    assert "holdtrue check . --only PAY011" in page.text


# -- the story --------------------------------------------------------------------------------------------------------


def words_of(story: Story) -> list[str]:
    return [step.words for step in story.steps]


def test_a_promoted_process_keeps_its_own_lane() -> None:
    story = story_of(KILLED, harm="broken")
    assert story.lanes == ("caller", "provider", "web1", "web2", "worker", "database", "mail")
    redelivered = next(step for step in story.steps if "redelivered" in step.words)
    assert (redelivered.source, redelivered.target) == ("provider", "web2")
    assert "web2 takes over from web1" in words_of(story)


def test_reads_are_told_together_and_transactions_that_only_read_are_not_told() -> None:
    reading = [statement(0.1, "BEGIN"), statement(0.2, "SELECT 1 FROM a"), statement(0.3, "SELECT 1 FROM b"),
               statement(0.4, "COMMIT")]  # fmt: skip
    assert words_of(story_of(reading, harm="broken")) == ["2 reads: a, b", "broken"]


def test_an_answer_stands_behind_what_was_done_for_it() -> None:
    story = story_of([request(0, "POST /x", "201"), statement(0.01, "INSERT INTO t VALUES (1)")], harm="broken")
    assert words_of(story) == ["POST /x as owner@a", "INSERT INTO t", "201", "broken"]


def test_turns_of_a_schedule_are_steps() -> None:
    words = words_of(story_of(RACED, harm="broken"))
    assert words[-6:-1] == [
        "turn by turn: first to stop 1, second whole, first whole",
        "web1 is held before UPDATE orders SET refunded",
        "web2 waits for the other: UPDATE orders SET refunded",
        "web2 runs COMMIT",
        "web1 runs to its end",
    ]


def test_turns_with_times_stand_where_they_happened() -> None:
    turns = [{"process": "web1", "statement": "COMMIT", "outcome": "held", "at": 0.02}]
    entries = [statement(0.01, "UPDATE a SET b = 1"), statement(0.03, "COMMIT"),
               {"kind": "interleaving", "at": 0.5, "turns": turns}]  # fmt: skip
    assert words_of(story_of(entries, harm="broken")) == [
        "UPDATE a SET b", "web1 is held before COMMIT", "COMMIT", "broken",
    ]  # fmt: skip


def test_a_database_that_refuses_says_what_and_until_when() -> None:
    entries: Entries = [
        {"kind": "refusing", "at": 0, "tables": ["orders"], "operations": ["INSERT", "UPDATE"]},
        request(0.1, "POST /x", "500"),
        {"kind": "refusing_ended", "at": 0.5, "tables": ["orders"]},
    ]
    steps = story_of(entries, harm="broken").steps
    assert [(steps[at].words, steps[at].source) for at in (0, 3)] == [
        ("refuses every INSERT, UPDATE on orders (disk full)", "database"),
        ("is well again", "database"),
    ]


def test_a_forged_webhook_does_not_come_from_the_provider() -> None:
    note = {"kind": "webhook", "at": 0, "process": "web1", "note": "forged: unsigned"}
    step = story_of([note, request(0, "POST /hook", "200", content="{}")], harm="broken").steps[0]
    assert (step.source, step.target) == ("caller", "web1")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", "INSERT INTO t ON CONFLICT"),
        ("UPDATE t SET a = 1, b=now() WHERE c = 2", "UPDATE t SET a, b"),
        ("DELETE FROM ONLY t WHERE a", "DELETE FROM t"),
        ("SELECT a,\n b FROM t WHERE c FOR UPDATE", "SELECT FROM t FOR UPDATE"),
        ("LISTEN x", "LISTEN x"),
    ],
)
def test_a_statement_is_told_in_few_words(sql: str, words: str) -> None:
    assert short_sql(sql) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
KINDS = sorted(
    {str(entry["kind"]) for entry in (*KILLED, *RACED)}
    | {"migration", "left_out", "released", "mail_refused", "refusing"}
)
NAMES = sorted({name for entry in (*KILLED, *RACED) for name in entry} - {"kind"})


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), JSON).flatmap(
    lambda facts: st.sampled_from(KINDS).map(lambda kind: {"kind": kind} | facts)), max_size=8))  # fmt: skip
def test_no_evidence_breaks_the_page(entries: list[Any]) -> None:
    story = story_of(entries, harm="broken")
    for form in (WIDE, NARROW):
        assert draw(story, form).height > 0


# -- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [WIDE, NARROW], ids=lambda form: form.name)
@pytest.mark.parametrize("entries", [KILLED, RACED], ids=["killed", "raced"])
def test_no_words_leave_the_picture_or_meet_others(entries: Entries, form: Form) -> None:
    picture = draw(story_of(entries, harm="broken " * 60), form)
    rows: dict[float, list[tuple[float, float]]] = {}
    for words in picture.words:
        if words.turned:
            assert words.y - len(words.text) * form.size * ADVANCE >= 0
            continue
        width = len(words.text) * form.size * ADVANCE
        left = words.x - {"time": width, "head": width / 2}.get(words.style, 0)
        assert left >= 0
        assert left + width <= form.width
        assert 0 < words.y <= picture.height
        rows.setdefault(words.y, []).append((left, left + width))
    for row in rows.values():
        for one, other in pairwise(sorted(row)):
            assert one[1] <= other[0]
    heights = sorted(y for y in rows if y > form.head)
    assert all(below - above >= form.size for above, below in pairwise(heights) if below - above > 1)


def lines(picture: Picture, style: str) -> list[tuple[float, float, float]]:
    return [(line.x1, line.y1, line.y2) for line in picture.lines if line.style == style]


def test_the_lane_of_a_killed_process_is_broken_at_the_kill() -> None:
    story = story_of(KILLED, harm="broken")
    picture = draw(story, WIDE)
    [(x, top, _)] = lines(picture, "lane dead")
    kill = next(path for path in picture.paths if "kill" in path.style)
    assert kill.d.startswith(f"M{x - 6:g} {top - 6:g}")
    assert [line for line in lines(picture, "bar") if line[0] == x and line[2] > top + 6] == []


def test_a_process_that_starts_again_has_a_whole_lane_again() -> None:
    entries = [request(0, "GET /x", "200"), {"kind": "kill", "at": 1, "processes": "all"},
               {"kind": "start", "at": 2, "processes": ["web1"]}]  # fmt: skip
    picture = draw(story_of(entries, harm="broken"), WIDE)
    [(x, died, revived)] = lines(picture, "lane dead")
    whole = [(top, bottom) for at, top, bottom in lines(picture, "lane") if at == x]
    assert [top for top, _ in whole] == [WIDE.head, revived]
    assert whole[0][1] == died
    assert whole[1][1] > revived


def test_the_report_s_own_schema_is_enough(tmp_path: Path) -> None:
    """The page is made of the report and the evidence that it names, of nothing that only the check knows."""
    told = report(finding("PAY011", kept(tmp_path, "PAY011", RACED)))
    assert dumps(Report.model_validate_json(told.model_dump_json(by_alias=True)), on=DAY) == dumps(told, on=DAY)
