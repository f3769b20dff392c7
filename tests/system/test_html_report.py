"""The HTML report in a real browser: whole without network and script, readable at both widths, light and dark."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from happenings import KILLED, RACED, finding, kept, report

from holdtrue.check.writers.html import dumps

from .browser import Tab, browser

SHOWN = "[...document.querySelectorAll('svg.picture')].filter(svg => svg.getBoundingClientRect().width > 0)"
BOXES = f"""
{SHOWN}.map(svg => {{
  const box = each => {{ const b = each.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] }}
  return {{
    label: svg.querySelector('title').textContent, lines: svg.querySelectorAll('line').length,
    size: parseFloat(getComputedStyle(svg).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width,
    svg: box(svg), marks: [...svg.querySelectorAll('line, path')].map(box),
    texts: [...svg.querySelectorAll('text')].map(each => [each.textContent, ...box(each)]),
  }}
}})
"""
CONTRASTS = f"""
{SHOWN}.flatMap(svg => {{
  const rgb = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(Number)
  const light = colour => rgb(colour).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0)
  const paper = light(getComputedStyle(document.body).backgroundColor)
  return [...svg.querySelectorAll('text')].map(each => {{
    const [dark, bright] = [light(getComputedStyle(each).fill), paper].sort((a, b) => a - b)
    return (bright + .05) / (dark + .05)
  }})
}})
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    hostile = {"seen": "<script>document.title = 'run'</script><img src='http://127.0.0.1:1/x.png'>"}
    found = [
        finding("PAY011", kept(tmp_path, "PAY011", KILLED)),
        finding("PAY012", kept(tmp_path, "PAY012", RACED), **hostile, replay="holdtrue check " + "long-name/" * 40),
    ]
    file = tmp_path / "report.html"
    file.write_text(dumps(report(*found), on=date(2026, 11, 22)), encoding="utf-8")
    return file


async def test_the_page_is_whole_in_a_browser_at_both_widths_light_and_dark(page: Path) -> None:
    async with browser() as tab:
        papers = set()
        for width in (1280, 390):
            for dark in (False, True):
                await tab.open(page, width=width, dark=dark)
                await _asks_nobody_and_runs_nothing(tab, page)
                assert await tab.ask("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
                boxes = await tab.ask(BOXES)
                assert [each["label"] for each in boxes] == [
                    "What happened: case of PAY011",
                    "What happened: case of PAY012",
                ]
                for picture in boxes:
                    _is_readable(picture)
                assert min(await tab.ask(CONTRASTS)) >= 4.5, "WCAG 2.2, 1.4.3"
                papers.add(await tab.ask("getComputedStyle(document.body).backgroundColor"))
        assert len(papers) == 2, "light and dark"


async def _asks_nobody_and_runs_nothing(tab: Tab, page: Path) -> None:
    asked = [event["params"]["request"]["url"] for event in tab.said("Network.requestWillBeSent")]
    assert asked == [page.as_uri()]
    assert tab.said("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
    assert await tab.ask("document.title") == "Plain shop: broken"


def _is_readable(picture: dict[str, Any]) -> None:
    assert picture["size"] >= 10, "CSS pixels"
    assert picture["lines"] > 10
    texts = picture["texts"]
    for box in [*picture["marks"], *(text[1:] for text in texts)]:
        assert _inside(box, picture["svg"]), box
    for number, (words, *box) in enumerate(texts):
        for other, *place in texts[number + 1 :]:
            assert not _overlap(box, place), (words, other)


def _inside(box: list[float], frame: list[float]) -> bool:
    slack = 0.5  # a line's own width is not in its box
    return (
        box[0] >= frame[0] - slack
        and box[1] >= frame[1] - slack
        and box[2] <= frame[2] + slack
        and box[3] <= frame[3] + slack
    )


def _overlap(one: list[float], other: list[float]) -> bool:
    return min(one[2], other[2]) - max(one[0], other[0]) > 1 and min(one[3], other[3]) - max(one[1], other[1]) > 1


async def test_the_page_can_be_used_without_a_pointer_and_without_eyes(page: Path) -> None:
    async with browser() as tab:
        await tab.open(page, width=390)
        tree = (await tab.tell("Accessibility.getFullAXTree"))["nodes"]
        pictures = [node for node in tree if node.get("role", {}).get("value") in ("image", "img", "graphics-document")]
        assert [node["name"]["value"] for node in pictures] == [
            "What happened: case of PAY011 21 steps between caller, provider, web1, web2, worker, database, mail. "
            "The same is told in words below the picture.",
            "What happened: case of PAY012 16 steps between caller, web1, web2, database. "
            "The same is told in words below the picture.",
        ]
        # The list of steps opens with the keyboard.
        await tab.ask("document.querySelector('figure summary').focus()")
        for kind in ("keyDown", "keyUp"):
            await tab.tell(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )
        assert await tab.ask("document.querySelector('figure details').open")
        assert await tab.ask("document.querySelector('figure li').getBoundingClientRect().height > 0")
