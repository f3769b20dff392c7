"""What the pages show is true: documents are read, commands exist, links lead somewhere, codes have a guarantee."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
import typer
import typer.main

from holdtrue.cli.main import app, with_json_target
from holdtrue.contract.problems import DocumentErrors
from holdtrue.contract.reader import read
from holdtrue.contract.words import Place
from holdtrue.guarantees import ALL

Pages = Any
TUTORIAL = "docs/tutorial/adopt-an-app.md"
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
_INLINE = re.compile(r"`((?:holdtrue|\./dev) [^`\n]*)`")
_CODE = re.compile(rf"\b(?:{'|'.join(place.prefix for place in Place)})\d{{3}}\b")
# Typer has no public name for what it raises at an unknown option.
_UsageError = typer.BadParameter.__bases__[0]


def test_every_link_leads_to_a_file_of_the_project(pages: Pages) -> None:
    broken = [
        f"{path.relative_to(pages.root)}: {target}"
        for path, text in pages.texts()
        for target in _LINK.findall(text)
        if not (path.parent / target).exists()
    ]
    assert not broken


def test_every_code_on_a_page_is_a_guarantee(pages: Pages) -> None:
    known = {guarantee.code for guarantee in ALL}
    strangers = {code for _, text in pages.texts() for code in _CODE.findall(text)} - known
    assert not strangers


# -- documents --------------------------------------------------------------------------------------------------------


def test_the_tutorials_document_is_sound_after_every_step(pages: Pages, tmp_path: Path) -> None:
    steps = [block.text for block in pages.of(TUTORIAL, "toml")]
    for count in range(1, len(steps) + 1):
        (tmp_path / "holdtrue.toml").write_text("\n".join(steps[:count]), encoding="utf-8")
        assert read(tmp_path).document.app.name == "notes"


def test_every_part_of_a_document_fits_into_the_tutorials_document(pages: Pages, tmp_path: Path) -> None:
    base = tomllib.loads("\n".join(block.text for block in pages.of(TUTORIAL, "toml")))
    parts = [block for block in pages.blocks("toml") if block.page != TUTORIAL]
    assert parts
    wrong = []
    for block in parts:
        document = _with_the_usual_names(_merged(base, tomllib.loads(block.text)))
        (tmp_path / "holdtrue.toml").write_text(tomlkit.dumps(document), encoding="utf-8")
        try:
            read(tmp_path)
        except DocumentErrors as error:
            wrong.append(f"{block.place}: {error}")
    assert not wrong, "\n\n".join(wrong)


def _merged(base: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in part.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    if {"asgi", "start"} <= merged.keys():
        merged.pop("asgi" if "start" in part else "start")
    return merged


def _with_the_usual_names(document: dict[str, Any]) -> dict[str, Any]:
    """What pages mention in passing: a member's id that the reader's sign-up captures."""
    reader = document["principals"]["reader"]
    steps = [{**step, "capture": {**step.get("capture", {}), "member_id": "id"}} for step in reader["steps"]]
    return {**document, "principals": {**document["principals"], "reader": {**reader, "steps": steps}}}


# -- commands ---------------------------------------------------------------------------------------------------------


def test_every_command_on_a_page_is_one_that_the_command_line_knows(pages: Pages) -> None:
    shown = [(block.place, line) for block in pages.blocks("sh") for line in block.text.splitlines()]
    shown += [(path.name, found) for path, text in pages.texts() for found in _INLINE.findall(text)]
    wrong = [f"{place}: {line}: {fault}" for place, line in shown if (fault := _fault(line, pages.root))]
    assert len(shown) > len(pages.blocks("sh"))
    assert not wrong


@pytest.mark.parametrize(
    "line",
    ["holdtrue chek", "holdtrue check --onyl TEN042", "holdtrue check --seed many", "./dev tset", "holdtrue explain"],
)
def test_a_command_that_does_not_exist_is_noticed(line: str, pages: Pages) -> None:
    assert _fault(line, pages.root)


def _fault(line: str, root: Path) -> str | None:
    """What is wrong with a command, if it is one of ours."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["./dev"]:
        usage = (root / "dev").read_text(encoding="utf-8")
        known = set(re.findall(r"^  (\w+) ", usage.split("<<'EOF'")[1].split("EOF")[0], re.MULTILINE))
        return None if words[1] in known else f"./dev knows {sorted(known)}"
    if words[:1] != ["holdtrue"]:
        return None
    group = typer.main.get_command(app)
    command = group.commands.get(words[1])  # type: ignore[attr-defined]
    if command is None:
        return "no such command"
    arguments = with_json_target(words[2:]) if words[1] == "check" else words[2:]
    if words[1] == "explain" and not arguments:
        return "explain needs a code"
    try:
        command.make_context(words[1], list(arguments))
    except _UsageError as error:
        return str(error)
    return None
