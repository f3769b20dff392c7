"""Where a module's code is on this machine, which installed package it came with, and the digest of its files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions, packages_distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

from holdtrue.runtime import Module

_ROOM = "contract.py"
"""Every module's folder has it."""
_LEFT_OUT = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


def folder_of(module: Module) -> Path:
    """The folder of a module's code, or its file where it is but one: where most of what it is made of is defined."""
    found = Counter(place for name in _names(module) if (place := _place(name)) is not None)
    if module.migrations is not None and (room := _room(module.migrations.resolve())) is not None:
        found[room] += 1
    if not found:
        return Path(sys.modules[Module.__module__].__file__ or "")
    most = max(found, key=lambda place: (found[place], str(place)))
    alone = not any(place != most and place.parent == most.parent for place in found)
    return most if most.is_dir() or alone else most.parent


def _names(module: Module) -> Iterator[str]:
    """Names of the Python modules that a module's parts are defined in."""
    contract = module.contract
    parts: list[object] = [endpoint.function for router in module.routers for endpoint in router.endpoints]
    parts += [module.settings, module.open, module.authenticator, module.tenants, module.mailer, module.recorder]
    parts += [binding.function for binding in module.bindings]
    parts += [each.payload for each in (*contract.events, *contract.hooks, *contract.jobs)]
    for part in parts:
        if part is not None and (name := getattr(part, "__module__", None)):
            yield name


def _place(name: str) -> Path | None:
    module = sys.modules.get(name)
    if module is None or not getattr(module, "__file__", None):
        return None
    file = Path(module.__file__ or "").resolve()
    return _room(file.parent) or file


def _room(folder: Path) -> Path | None:
    """The nearest folder around that has a contract."""
    return next((each for each in (folder, *folder.parents) if (each / _ROOM).is_file()), None)


def top_packages(folders: Iterable[Path]) -> list[Path]:
    """The outermost packages around some folders or files."""
    found = set()
    for place in folders:
        outer = place
        while (outer.parent / "__init__.py").exists():
            outer = outer.parent
        found.add(outer)
    return sorted(found)


def digest_of(*places: Path) -> str:
    """SHA-256 over the files below some folders: their names, their lengths, what is in them. ``sha256:…``."""
    total = hashlib.sha256()
    for place in places:
        for file in sorted(_files(place)):
            content = file.read_bytes()
            name = file.relative_to(place.parent).as_posix()
            total.update(f"{name}\0{len(content)}\0".encode())
            total.update(content)
    return f"sha256:{total.hexdigest()}"


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for file in place.rglob("*"):
        inner = file.relative_to(place).parts
        if file.is_file() and not _LEFT_OUT.intersection(inner) and file.suffix != ".pyc":
            yield file


class Packages:
    """The installed distributions, asked whose a folder is."""

    def __init__(self) -> None:
        self._by_import = packages_distributions()
        self._editable = [(root, each) for each in distributions() if (root := _editable_root(each)) is not None]

    def owner(self, place: Path) -> Distribution | None:
        """The distribution that a folder came with; None for what is not installed."""
        for root, distribution in self._editable:
            if place.is_relative_to(root):
                return distribution
        top = top_packages([place])[0]
        names = self._by_import.get(top.stem, [])
        return next((each for each in distributions() if each.name in names and _holds(each, top)), None)


def _holds(distribution: Distribution, top: Path) -> bool:
    return Path(str(distribution.locate_file(""))).resolve() == top.parent


def _editable_root(distribution: Distribution) -> Path | None:
    """Where the sources of an editable installation are (PEP 610)."""
    text = distribution.read_text("direct_url.json")
    told = json.loads(text) if text else {}
    if not told.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(told["url"]).path)).resolve()
