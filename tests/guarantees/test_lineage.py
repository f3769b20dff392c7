"""What is wrong with a line of revisions, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdtrue.contract.document import Document
from holdtrue.guarantees.base import Harm
from holdtrue.guarantees.releases.lineage import tangles, target_of
from holdtrue.guarantees.releases.rel043_two_heads import inspect
from holdtrue.stage.survey import Revision
from holdtrue.stage.survey.sources import Sources


def revision(name: str, *parents: str, labels: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Revision:
    return Revision(
        revision=name, down_revisions=parents, branch_labels=labels, depends_on=needs, file=f"versions/{name}.py"
    )


def found(*revisions: Revision, to: str | None = "head", whole: bool = True) -> list[str]:
    return [tangle.where for tangle in tangles(revisions, to=to, whole=whole)]


ONE, TWO = revision("1"), revision("2", "1")


def test_one_line_is_sound() -> None:
    assert found(ONE, TWO) == []
    assert found() == []


def test_two_on_one_parent_are_two_heads_whatever_the_deploy_goes_up_to() -> None:
    for to in ("head", "heads", None):
        assert found(ONE, TWO, revision("2b", "1"), to=to) == ["revisions 2, 2b"]


def test_a_merge_joins_the_heads_again() -> None:
    assert found(ONE, TWO, revision("2b", "1"), revision("3", "2", "2b")) == []


def test_branches_with_roots_of_their_own_are_meant_unless_the_deploy_wants_the_one_head() -> None:
    apart = (ONE, revision("a1", labels=("accounts",)))
    assert found(*apart, to="heads") == []
    assert found(*apart, to=None) == []
    assert found(*apart, to="head") == ["revisions 1, a1"]


def test_a_dependency_between_branches_does_not_make_them_one() -> None:
    apart = (ONE, revision("a1", needs=("1",)))
    assert found(*apart, to="heads") == []
    assert found(*apart, to="head") == ["revisions 1, a1"], "Alembic counts both as heads"


def test_labels_of_their_own_set_branches_apart_on_purpose() -> None:
    labelled = (ONE, TWO, revision("b", "1", labels=("billing",)))
    assert found(*labelled, to="heads") == []
    assert found(*labelled, to="head") == ["revisions 2, b"]
    below = (revision("1", labels=("shop",)), TWO, revision("2b", "1"))
    assert found(*below, to="heads") == ["revisions 2, 2b"], "a label that both have sets nothing apart"


def test_a_parent_that_no_file_has_is_lost_unless_there_may_be_other_files() -> None:
    orphan = revision("3", "2x")
    assert found(ONE, orphan, to=None) == ["revision 3"]
    assert found(ONE, orphan, to=None, whole=False) == []
    assert found(ONE, revision("a", needs=("gone",)), to=None) == ["revision a"]


def test_a_name_that_two_files_have_is_told_once() -> None:
    assert found(ONE, TWO, revision("2", "1")) == ["revision 2"]


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("{python} -m alembic upgrade head", "head"),
        ("alembic -c deploy/alembic.ini upgrade heads", "heads"),
        (["sh", "-c", "alembic upgrade auth@head && python seed.py"], "auth@head"),
        ("flask --app shop db upgrade", "head"),
        ("flask db upgrade heads", "heads"),
        ("{python} migrate.py", None),
        (None, None),
    ],
)
def test_what_a_deploy_goes_up_to_is_read_off_its_command(command: str | list[str] | None, target: str | None) -> None:
    assert target_of(command) == target


def test_directories_of_an_unknown_tool_are_lines_of_their_own(tmp_path: Path) -> None:
    for file, parent in (("shop/1", None), ("shop/2", "1"), ("shop/2b", "1"), ("other/1", None)):
        path = tmp_path / f"{file}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"revision, down_revision = {path.stem!r}, {parent!r}\ndef upgrade(): ...\n")
    document = Document.model_validate(
        {
            "app": {"name": "a"},
            "process": {"start": "x", "migrate": "y"},
            "migrations": {"tool": "command", "up": "u", "down": "d"},
        }
    )
    found = [read for read in inspect(Sources(tmp_path), document) if isinstance(read, Harm)]
    assert [(harm.where, harm.source) for harm in found] == [("revisions 2, 2b", "shop/2b.py:1")]
