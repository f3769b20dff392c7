"""Revisions are read off their files as Alembic would read them, and what cannot be read is said."""

from __future__ import annotations

from pathlib import Path

from holdtrue.contract.document import Document
from holdtrue.stage.survey.scripts import Scripts, migration_scripts
from holdtrue.stage.survey.sources import Sources

PLAIN = 'revision = "{0}"\ndown_revision = {1!r}\n\n\ndef upgrade():\n    pass\n'


def read(directory: Path, **migrations: object) -> Scripts | None:
    document = Document.model_validate(
        {"app": {"name": "a"}, "process": {"start": "x", "migrate": "y"}, "migrations": migrations}
    )
    return migration_scripts(Sources(directory), document)


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        path = directory / name.replace("__", "/")
        path = path.with_suffix(".ini" if path.name == "alembic" else ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def parents(scripts: Scripts | None) -> dict[str, tuple[str, ...]]:
    assert scripts is not None
    return {each.revision: each.down_revisions for each in scripts.revisions}


def test_revisions_stand_in_the_version_directory(tmp_path: Path) -> None:
    write(
        tmp_path,
        alembic="[alembic]\nscript_location = %(here)s/db\n",
        db__versions__one=PLAIN.format("1", None),
        db__versions__two=PLAIN.format("2", "1"),
        db__other=PLAIN.format("x", None),
        db__env="",
    )
    scripts = read(tmp_path)
    assert parents(scripts) == {"1": (), "2": ("1",)}
    assert scripts is not None
    assert scripts.environment == "db/env.py"
    assert scripts.lines["db/versions/two.py"] == 2
    assert scripts.unread == ()


def test_values_may_be_annotated_tuples_constants_or_given_side_by_side(tmp_path: Path) -> None:
    write(
        tmp_path,
        alembic="[alembic]\nscript_location = db\n",
        db__versions__a='revision: str = "a"\ndown_revision: str | None = None\nbranch_labels = ("shop",)\n',
        db__versions__b='BASE = "a"\nrevision, down_revision, depends_on = "b", BASE, ["z"]\n',
        db__versions__c='revision = "c"\ndown_revision = ("a", "b")\n',
    )
    scripts = read(tmp_path)
    assert parents(scripts) == {"a": (), "b": ("a",), "c": ("a", "b")}
    assert scripts is not None
    assert scripts.revisions[0].branch_labels == ("shop",)
    assert scripts.revisions[1].depends_on == ("z",)


def test_what_only_running_it_would_tell_is_unread(tmp_path: Path) -> None:
    write(
        tmp_path,
        alembic="[alembic]\nscript_location = db\n",
        db__versions__a='revision = make("a")\ndown_revision = None\n',
        db__versions__b="this is no Python\n",
    )
    scripts = read(tmp_path)
    assert scripts is not None
    assert scripts.revisions == ()
    assert len(scripts.unread) == 2


def test_several_version_locations_are_read_and_one_of_a_package_is_unread(tmp_path: Path) -> None:
    write(
        tmp_path,
        alembic="[alembic]\nscript_location = db\npath_separator = newline\n"
        "version_locations =\n  one\n  %(here)s/two\n  package:migrations\n",
        one__a=PLAIN.format("a", None),
        two__b=PLAIN.format("b", None),
        db__env="",
    )
    scripts = read(tmp_path)
    assert parents(scripts) == {"a": (), "b": ()}
    assert scripts is not None
    assert scripts.unread == ("version location 'package:migrations' is not in the app's directory",)


def test_revisions_of_another_command_are_found_by_what_they_say(tmp_path: Path) -> None:
    write(tmp_path, shop__migrations__a=PLAIN.format("a", None), shop__notes="down_revision = 'a word'\n")
    write(tmp_path, **{".venv__lib__b": PLAIN.format("b", None)}, tests__old__c=PLAIN.format("c", None))
    assert parents(read(tmp_path, tool="command", up="u", down="d")) == {"a": ()}


def test_an_app_without_alembic_has_no_revisions(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(tmp_path, tool="command", up="u", down="d") is None
