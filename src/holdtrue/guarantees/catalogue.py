"""All guarantees. A file of a place that says ``GUARANTEE`` is in the check; nothing else names it."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from holdtrue.contract.words import Place
from holdtrue.guarantees.base import Guarantee


def _found() -> Iterator[Guarantee]:
    """Place by place, in the order of their codes."""
    for place in Place:
        if place is Place.CORE:
            continue  # what the document leaves out is compared by the check itself
        package = import_module(f"holdtrue.guarantees.{place}")
        for file in iter_modules(package.__path__):
            guarantee = getattr(import_module(f"{package.__name__}.{file.name}"), "GUARANTEE", None)
            if guarantee is not None:
                yield guarantee


ALL: tuple[Guarantee, ...] = tuple(_found())
