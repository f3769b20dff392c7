"""The chapters of the suite, and the pytest function that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel

from holdtrue.assembly.conformance.behaviour import behaviour
from holdtrue.assembly.conformance.promise import promise
from holdtrue.assembly.conformance.schema import schema
from holdtrue.assembly.conformance.sideeffects import importing
from holdtrue.assembly.conformance.subject import Subject
from holdtrue.runtime import Faults, Module

CHAPTERS = {
    "it is imported without side effects": importing,
    "its contract says what it is": promise,
    "its migrations go up, down and up again": schema,
    "its routes are guarded, and what it offers can be bound": behaviour,
}
"""Each says everything that is wrong in its field."""


def conformance(
    module: Module,
    *needs: Module,
    samples: Mapping[str, BaseModel] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Callable[[str], None]:
    """A pytest function that holds a module to what all modules must be able to do; it needs no fixture.

    ``samples``: hook, event or job → a payload, where none can be made up from the payload's types. ``environ``: values
    of settings, where what the contract says for a rehearsal does not do.
    """
    import pytest

    subject = Subject(module=module, needs=needs, samples=dict(samples or {}), given=dict(environ or {}))

    @pytest.mark.parametrize("chapter", list(CHAPTERS))
    def test_conformance(chapter: str) -> None:
        if faults := list(CHAPTERS[chapter](subject)):
            raise Faults(faults)

    return test_conformance
