"""What must be in no tracked file, whatever its language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

Tree = Any

# Written apart, so that this file does not find itself.
_HOMES = re.compile(r"(?<![\w.:}])/" r"(?:(?:home|Users)/\w+/|(?:root|work|workspace)/\w)")
_REGISTRIES = re.compile(
    "|".join((r"pypi\.o" "rg", r"pythonhosted\.o" "rg", r"npmjs\.(?:o" "rg|com)", r"yarnpkg\.c" "om"))
)


def test_no_file_holds_a_path_of_somebodys_machine(tree: Tree) -> None:
    here = [str(tree.root)] + ([str(Path.home())] if len(Path.home().parts) > 1 else [])
    found = [
        place
        for path in tree.files
        for place, line in _lines(tree, path)
        if _HOMES.search(line) or any(f"{each}/" in line for each in here)
    ]
    assert not found


def test_no_file_names_the_host_of_a_package_registry(tree: Tree) -> None:
    """Where packages come from is a setting of whoever installs them."""
    found = [place for path in tree.files for place, line in _lines(tree, path) if _REGISTRIES.search(line)]
    assert not found


def _lines(tree: Tree, path: Path) -> list[tuple[str, str]]:
    text = tree.text(path)
    return [(f"{tree.shown(path)}:{number}", line) for number, line in enumerate((text or "").splitlines(), 1)]
