"""Business steps that say what they emit, and are held to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from holdtrue.contract import Event
from holdtrue.runtime.faults import Fault
from holdtrue.runtime.unit import UnitOfWork

R = TypeVar("R")
Q = ParamSpec("Q")
Flow = Callable[Concatenate[UnitOfWork, Q], Coroutine[Any, Any, R]]


def flow(*, emits: Sequence[Event[Any]] = ()) -> Callable[[Flow[Q, R]], Flow[Q, R]]:
    """A business step that declares what it emits.

    Raises:
        Fault: EVENT_NOT_EMITTED, it ended well without an event that is required; nothing of it is kept.
    """
    declared = tuple(emits)

    def declare(step: Flow[Q, R]) -> Flow[Q, R]:
        @wraps(step)
        async def run(unit: UnitOfWork, /, *args: Q.args, **kwargs: Q.kwargs) -> R:
            before = len(unit.emitted)
            unit.flows.append(declared)
            try:
                result = await step(unit, *args, **kwargs)
            finally:
                unit.flows.pop()
            missing = [each.name for each in declared if each.required and each not in unit.emitted[before:]]
            if missing:
                raise Fault(
                    "EVENT_NOT_EMITTED",
                    f"{', '.join(missing)}: declared and not emitted",
                    where=f"{step.__module__}:{step.__qualname__}",
                    why="Consumers and the audit log would not learn of a change that was made.",
                    do="Emit it, or declare the event with required=False.",
                )
            return result

        return run

    return declare
