"""Reads a contract document, and says everything that is wrong with it at once, by file, line and key.

An adopted app wrote it as ``holdtrue.toml``; a composed one derived it, and has it in its ``holdtrue.lock``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from holdtrue.contract import references, shape
from holdtrue.contract.document import Document
from holdtrue.contract.lock import LOCK_NAME, Lock, parse_lock
from holdtrue.contract.positions import Positions
from holdtrue.contract.problems import DocumentErrors, Pointer, Position, Problem
from holdtrue.contract.project import PROJECT_NAME, read_project

FILE_NAME = "holdtrue.toml"

_COMPOSED = "this app is composed from modules: derive its document with `holdtrue lock`"
_DERIVED = "The document is derived: mend the contract in the code that says so, then run `holdtrue lock`."
_MINIMAL = """\
composed from modules: run `holdtrue lock`; else write a first one by hand (`holdtrue adopt` will do it later):
    [app]
    name = "my shop"
    [process]
    asgi = "shop.main:app"
    migrate = "{python} -m alembic upgrade head"
    env = { DATABASE_URL = "{postgres_url}" }"""

_SYNTAX_HINTS = (
    ("at the end of a table declaration", 'in a [table], put keys with spaces, slashes or braces in quotes: '
     '[routes."POST /orders"]'),
    ("after a key", "a key with spaces or slashes needs quotes: \"GET /orders\" = …; a pair is `key = value`"),
    ("Invalid value", "texts need quotes; true, false, numbers and dates have none"),
    ("Unescaped '\\'", "write regular expressions in single quotes: 'code=(\\w+)'"),
    ("Cannot declare", "this table was opened before: put its keys there, or mend the name"),
    ("Cannot overwrite", "this key was given before: keep one of the two"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A document that was read, and where each part of it stands."""

    document: Document
    path: Path
    positions: Positions
    notes: tuple[Problem, ...] = ()
    """What is wrong without stopping the check: expired waivers, which the document no longer has."""
    lock: Lock | None = None
    """Where it was derived, the lock that has it."""

    def locate(self, pointer: Sequence[str | int]) -> Position:
        """Return where a part of the document stands, such as ``("routes", "GET /orders", "permission")``.

        A part that is absent is located at the nearest table around it.
        """
        return self.positions.locate(tuple(pointer))

    def source(self, name: str) -> str:
        """Return where the code of a composed app has a route or a table; empty where that is not known."""
        told = self.positions.elsewhere
        found = (
            told.get(("routes", name)) or told.get(("tenancy", "tables", name)) or told.get(("tenancy", "global", name))
        )
        return str(found or "")


def read(path: Path, *, today: date | None = None) -> Loaded:
    """Read a document from a file, or from ``holdtrue.toml`` or else ``holdtrue.lock`` in a directory.

    ``today`` decides which waivers have expired; the machine's date when absent.

    Raises:
        DocumentErrors: everything that is wrong with it.
        UsageError: the lock is not one of this version.
    """
    file = _file(path)
    text = _text(file)
    if file.suffix == Path(LOCK_NAME).suffix:
        return fitted(parse_lock(text, file), file, text=text, today=today)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DocumentErrors([_syntax(error, file, text)]) from None
    positions = Positions(file, text)
    document, problems = shape.parse(values, positions)
    note = ""
    if document is None:
        note = "Whether the parts fit together is looked at once their shape is right."
    else:
        problems += references.problems(document, positions)
    if document is None or problems:
        problems.sort(key=lambda problem: (problem.position.line, problem.position.column))
        raise DocumentErrors(list(dict.fromkeys(problems)), note=note)
    return _loaded(document, file, positions, today)


def fitted(
    lock: Lock,
    file: Path,
    *,
    text: str = "",
    places: Mapping[Pointer, Position] | None = None,
    today: date | None = None,
) -> Loaded:
    """A lock's document, once its parts fit together; its waivers are those of ``[tool.holdtrue]``.

    ``text``: what the file has, where it was written. ``places``: where the app's code says what is in it, as far as
    that is known.

    Raises:
        DocumentErrors: they do not.
        UsageError: what pyproject.toml says below ``[tool.holdtrue]`` makes no sense.
    """
    positions = Positions.derived(file, lock.as_json() if text == lock.text else {}, ("document",))
    positions.elsewhere.update(places or {})
    if problems := references.problems(lock.document, positions):
        raise DocumentErrors(list(dict.fromkeys(problems)), note=_DERIVED)
    waivers = read_project(file.parent).waivers
    if waivers:
        written = Positions(file.parent / PROJECT_NAME, _text(file.parent / PROJECT_NAME))
        written.rename(("tool", "holdtrue", "waivers"), ("waivers",))
        positions.elsewhere |= {
            ("waivers", index, *key): written.locate(("waivers", index, *key))
            for index in range(len(waivers))
            for key in ((), ("until",))
        }
    return _loaded(lock.document.model_copy(update={"waivers": waivers}), file, positions, today, lock)


def _loaded(
    document: Document, file: Path, positions: Positions, today: date | None, lock: Lock | None = None
) -> Loaded:
    expired = dict(references.expired(document, positions, today or date.today()))
    waivers = [waiver for index, waiver in enumerate(document.waivers) if index not in expired]
    return Loaded(
        document=document.model_copy(update={"waivers": waivers}),
        path=file,
        positions=positions,
        notes=tuple(expired.values()),
        lock=lock,
    )


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    lock = path / LOCK_NAME
    return lock if lock.exists() and not (path / FILE_NAME).exists() else path / FILE_NAME


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        hint = _COMPOSED if read_project(file.parent).assembly else _MINIMAL
        raise DocumentErrors([_whole(file, "there is no contract document here", hint)]) from None
    except OSError as error:
        raise DocumentErrors([_whole(file, f"cannot be read: {error.strerror}", "")]) from None
    except UnicodeDecodeError as error:
        raise DocumentErrors([_whole(file, f"is not UTF-8: byte {error.start}", "save it as UTF-8")]) from None


def _whole(file: Path, message: str, hint: str) -> Problem:
    return Problem(position=Position(file=file, line=1, column=1), message=message, hint=hint)


def _syntax(error: tomllib.TOMLDecodeError, file: Path, text: str) -> Problem:
    # The message carries the place; attributes for it exist from Python 3.14 on only.
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", str(error))
    message = str(error)[: place.start()] if place else str(error)
    last = text.count("\n") + 1
    line, column = (int(place[1]), int(place[2])) if place and place[1] else (last, 1)
    hint = next((hint for words, hint in _SYNTAX_HINTS if words in message), "")
    return Problem(position=Position(file=file, line=line, column=column), message=f"not TOML: {message}", hint=hint)
