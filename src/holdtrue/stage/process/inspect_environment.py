"""Finds (and on request takes out) the app's own code in its installed environment. A script for the app's interpreter.

Usage: ``python inspect_environment.py ROOT [strip]``; prints ``{"version": …, "roots": [below ROOT, …]}``.

An app that is installed into its environment (``pip install .``, ``-e .``) would be imported from there: from a stale
build, or from a place that is not the copy under rehearsal. ``roots`` are the directories that the copy has to offer on
PYTHONPATH instead; ``strip`` deletes the installed modules, and keeps metadata and console scripts, so that a root that
was not found shows as an ImportError and never as an old version. Only packages whose ``direct_url.json`` (PEP 610)
names a directory below ROOT are touched. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def own_place(distribution: Any, root: Path) -> Path | None:
    """The directory below ``root`` that the distribution was installed from."""
    url = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
    if not url.startswith("file://"):
        return None
    place = Path(unquote(urlsplit(url).path)).resolve()
    inside = place == root or root in place.parents
    return place if inside and place.is_dir() else None


def installed_modules(distribution: Any) -> list[Any]:
    """What it put into site-packages, besides its metadata."""
    files = distribution.files or []
    return [file for file in files if file.parts[0] != ".." and not file.parts[0].endswith(".dist-info")]


def import_roots(place: Path, modules: list[Any]) -> set[Path]:
    """The directories from which the same modules can be imported."""
    names = {file.parts[0] for file in modules if not file.parts[0].startswith("__editable__")}
    below = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    roots = {base for base in [place, *below] if any((base / name).exists() for name in names)}
    for file in modules:
        if file.name.endswith(".pth") and Path(file.locate()).exists():
            lines = Path(file.locate()).read_text().splitlines()
            roots.update(Path(line) for line in lines if Path(line).is_absolute() and Path(line).is_dir())
    return roots or {path for path in (place, place / "src") if path.is_dir()}


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    roots: set[Path] = set()
    for distribution in importlib.metadata.distributions():
        place = own_place(distribution, root)
        if place is None:
            continue
        modules = installed_modules(distribution)
        roots |= import_roots(place, modules)
        for file in modules if "strip" in sys.argv[2:] else []:
            with contextlib.suppress(FileNotFoundError):
                Path(file.locate()).unlink()
    below = sorted(str(path.resolve().relative_to(root)) for path in roots if root in [path, *path.resolve().parents])
    version = f"{sys.implementation.name} {sys.version.split()[0]} {sys.platform}"
    print(json.dumps({"version": version, "roots": below}))


if __name__ == "__main__":
    main()
