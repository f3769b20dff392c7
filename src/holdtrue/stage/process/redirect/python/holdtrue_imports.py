"""Notes which modules of other people an app imports, for a zygote to import them ahead (``holdtrue_zygote.py``).

Runs in the app's interpreter, so: standard library only, Python 3.8 and later, nothing of holdtrue.
"""
# ruff: noqa: PTH120
# (pathlib would be one more import at every start of the app's interpreter)

from __future__ import annotations

import os
import sys
from collections.abc import Callable

_OTHERS = ("site-packages", "dist-packages")
_LIBRARY = os.path.dirname(os.path.realpath(os.__file__)) + os.sep


def noter(path: str) -> Callable[[str], None]:
    """Return what writes down the names of other people's modules, in the order in which they are first imported."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    others: dict[str, bool] = {}

    def note(name: str) -> None:
        top = name.partition(".")[0]
        if top not in others:
            others[top] = False  # for what is asked for while we look
            others[top] = _is_others(top)
        if others[top] and not name.endswith(".__main__"):
            try:
                os.write(descriptor, f"{name}\n".encode())  # at once: a process of the app may be killed at any time
            except OSError:
                others[top] = False  # a full disk is the app's to stumble over, not ours to stumble it by

    return note


def _is_others(top: str) -> bool:
    """Whether a top-level module comes from an installation, and not from the app's directories."""
    if top in sys.builtin_module_names:
        return False  # costs nothing
    for finder in sys.meta_path:
        spec = finder.find_spec(top, None) if hasattr(finder, "find_spec") else None
        if spec is not None:
            places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
            return bool(places) and all(is_outside(str(place)) for place in places)
    return False


def is_outside(place: str) -> bool:
    place = os.path.realpath(place) + os.sep
    return place.startswith(_LIBRARY) or any(f"{os.sep}{mark}{os.sep}" in place for mark in _OTHERS)
