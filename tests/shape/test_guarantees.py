"""A guarantee is one file, is in the check, is explained, and has a sabotage (DESIGN §3)."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from holdtrue.contract.words import Place
from holdtrue.guarantees import ALL, Guarantee
from holdtrue.guarantees.base import HEADINGS

Tree = Any
_FILE = re.compile(r"([a-z]+\d{3})_[a-z0-9_]+\.py")
_PATCH = re.compile(r"([a-z]+\d{3})[a-z]?_[a-z0-9_]+\.patch")
_HEADING = re.compile(r"^(.+)\n(-{3,})$", re.MULTILINE)

each_guarantee = pytest.mark.parametrize("guarantee", ALL, ids=lambda guarantee: guarantee.code)


def test_every_file_of_a_guarantee_is_in_the_check_and_the_other_way_round(tree: Tree) -> None:
    folder = tree.package / "guarantees"
    files = {
        found[1]: path.parent.name
        for path in tree.python(folder)
        if path.parent != folder and (found := _FILE.fullmatch(path.name))
    }
    assert files == {guarantee.code.lower(): str(guarantee.place) for guarantee in ALL}


def test_no_two_guarantees_share_a_code_or_a_title() -> None:
    assert len({guarantee.code for guarantee in ALL}) == len(ALL)
    assert len({guarantee.title for guarantee in ALL}) == len(ALL)


@each_guarantee
def test_a_guarantee_is_found_by_its_code_and_place(guarantee: Guarantee, tree: Tree) -> None:
    file = _file(guarantee)
    assert file.name.startswith(f"{guarantee.code.lower()}_")
    assert file.parent == tree.package / "guarantees" / guarantee.place
    assert guarantee.code.startswith(Place(guarantee.place).prefix)


@each_guarantee
def test_a_guarantee_is_explained_under_the_four_headings(guarantee: Guarantee) -> None:
    doc = inspect.cleandoc(guarantee.doc or "")
    headings = _HEADING.findall(doc)
    assert tuple(heading for heading, _ in headings) == HEADINGS
    assert all(len(line) == len(heading) for heading, line in headings)
    assert doc.splitlines()[0].endswith(".")
    assert doc.splitlines()[1] == ""
    assert all(guarantee.sections[heading].strip() for heading in HEADINGS)


@each_guarantee
def test_a_guarantee_says_what_it_promises_why_and_what_to_do(guarantee: Guarantee) -> None:
    for text in (guarantee.promise, guarantee.why, guarantee.do, guarantee.do_not):
        assert text.strip().endswith(".")


@each_guarantee
def test_a_guarantee_has_a_sabotage(guarantee: Guarantee, tree: Tree) -> None:
    names = [path.name for path in (tree.tests / "sabotages").glob("*/*.patch")]
    of_this = [name for name in names if (found := _PATCH.fullmatch(name)) and found[1] == guarantee.code.lower()]
    assert of_this, (
        f"a check that cannot fail proves nothing: add tests/sabotages/<app>/{guarantee.code.lower()}_<words>.patch, "
        f"a small change to a sound app that breaks {guarantee.code} and nothing else"
    )


def test_every_sabotage_names_a_guarantee(tree: Tree) -> None:
    codes = {guarantee.code.lower() for guarantee in ALL}
    patches = sorted((tree.tests / "sabotages").glob("*/*.patch"))
    strangers = [path.name for path in patches if not ((found := _PATCH.fullmatch(path.name)) and found[1] in codes)]
    assert not strangers


def _file(guarantee: Guarantee) -> Path:
    proof = guarantee.rehearse or guarantee.inspect
    return Path(str(sys.modules[proof.__module__].__file__))
