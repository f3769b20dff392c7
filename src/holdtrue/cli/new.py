"""``holdtrue new``: writes a composed app that its tests and the check hold as it is."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from holdtrue.cli.lock import Request
from holdtrue.cli.lock import run as lock
from holdtrue.contract.errors import UsageError

TEMPLATE = Path(__file__).parent / "template"
SUFFIX = "-tpl"
"""Of a template's files, so that no tool takes them for code of ours."""
_NAME = re.compile(r"[a-z][a-z0-9_]{1,29}")
_TAKEN = ("tests", "appname")


def run(name: str, parent: Path, *, python: str | None = None) -> str:
    """Write the app into a new directory ``parent/name``, whole or not at all, and lock it.

    Raises:
        UsageError: the name will not do, there is something of that name, or what was written does not compose.
    """
    _refuse_name(name)
    target = parent / name
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"there is something at {target}",
            why="Nothing that exists is overwritten.",
            do="Choose another name, or move it away.",
        )
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(parent)) from None
    try:
        _write(scratch / name, name)
        lock(Request(directory=scratch / name, python=python))
        (scratch / name).rename(target)
    finally:
        shutil.rmtree(scratch)
    return (
        f"{target}: composed from auth, tenancy, payments, email, audit, and a feature of its own.\n"
        f"Next:\n  cd {target}\n  holdtrue check     hold it to its contract\n  holdtrue dev       run it\n"
    )


def _refuse_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        meant = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:30]
        hint = f"Such as `{meant}`. " if _NAME.fullmatch(meant) else ""
        raise UsageError(
            f"`{name}` cannot name an app",
            why="It becomes a Python package and a name in URLs and mails.",
            do=f"{hint}Use 2 to 30 lower-case letters, digits and underscores, a letter first.",
        )
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or name in _TAKEN or find_spec(name) is not None:
        raise UsageError(
            f"`{name}` is taken",
            why="A Python package, module or keyword of that name exists: one would hide the other.",
            do=f"Choose another one, such as `{name}_app`.",
        )


def _write(directory: Path, name: str) -> None:
    for source in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        relative = source.relative_to(TEMPLATE).as_posix().removesuffix(SUFFIX)
        target = directory / re.sub(r"(^|/)dot\.", r"\1.", relative).replace("appname", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        title = name.replace("_", " ").capitalize()
        target.write_text(text.replace("appname", name).replace("Appname", title), encoding="utf-8")
