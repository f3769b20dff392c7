"""Whether a bound function takes and returns what its target says, read from its annotations."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from holdtrue.contract import Binding
from holdtrue.runtime.unit import UnitOfWork
from holdtrue.runtime.work import Work


def mismatch(binding: Binding) -> str | None:
    """What does not fit; None when all does."""
    function, target = binding.function, binding.target
    if not inspect.isroutine(function):
        return "it is not a function with a name, and rows of the outbox name it"
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        return "it is not an async function"
    parameters = list(inspect.signature(function).parameters.values())
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    required = [each for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    if len(positional) < 2 or len(required) > 2:
        return f"it takes {len(required)} arguments instead of two"
    try:
        hints = get_type_hints(function)
    except NameError as error:
        return f"its annotations cannot be read: {error}"
    first, second = (hints.get(each.name) for each in positional[:2])
    wanted = Work if target.deferred else UnitOfWork
    if not _accepts(first, wanted):
        return f"its first argument is annotated {_shown(first)} instead of {wanted.__name__}"
    if not _accepts(second, target.payload):
        return f"its second argument is annotated {_apart(second, target.payload)}"
    returned = hints.get("return", "nothing")
    if not _accepts(target.output, returned):
        return f"it returns {_apart(returned, target.output)}"
    return None


def _accepts(annotated: Any, given: Any) -> bool:
    """Whether a value of the type given may go where the annotated type is expected."""
    if annotated is Any:
        return True
    return isinstance(annotated, type) and isinstance(given, type) and issubclass(given, annotated)


def _apart(got: Any, wanted: Any) -> str:
    """Two types told apart, also where they have the same name."""
    same = _shown(got) == _shown(wanted)
    return " instead of ".join(f"{each.__module__}.{_shown(each)}" if same else _shown(each) for each in (got, wanted))


def _shown(kind: Any) -> str:
    if kind is None:
        return "with nothing"
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))
