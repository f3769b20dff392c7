"""A binding to begin with: imports, a function with the right types, and the line that binds it. It runs as it is."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from holdtrue.contract import Bindable, Guard, Transform


class Source:
    """Where a module's words are imported from: its public face, where that has them."""

    def __init__(self, package: str) -> None:
        self._package = package

    def line(self, *things: object) -> str:
        """The import lines for some things, and nothing for what has no name anywhere."""
        lines: dict[str, list[str]] = {}
        for thing in things:
            module, name = self.find(thing)
            lines.setdefault(module, []).append(name)
        return "\n".join(
            f"from {module} import {', '.join(sorted(set(names), key=_order))}" for module, names in lines.items()
        )

    def find(self, thing: object) -> tuple[str, str]:
        """The module to import a thing from, and its name there."""
        for place in filter(None, (self._package, f"{self._package}.contract")):
            try:
                module = importlib.import_module(place)
            except ModuleNotFoundError:
                continue
            for name, value in vars(module).items():
                if value is thing and _is_public(module, name, value):
                    return place, name
        if isinstance(thing, type):
            return thing.__module__, thing.__qualname__
        return f"{self._package or '…'}.contract", thing.name.rpartition(".")[2].upper()  # type: ignore[attr-defined]


def _is_public(module: ModuleType, name: str, value: object) -> bool:
    """Whether a type checker lets it be imported from here: exported, or made here."""
    if hasattr(module, "__all__"):
        return name in module.__all__
    return not isinstance(value, type) or value.__module__ == module.__name__


def _order(name: str) -> tuple[int, str]:
    """As import sorters have it: CONSTANTS, Classes, functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def stub(target: Bindable[Any], source: Source) -> str:
    """The text of a Python file that binds ``target``."""
    payload, hook = target.payload.__name__, source.find(target)[1]
    function = target.name.rpartition(".")[2]
    function = f"on_{function}" if target.deferred else function
    first = "work: Work" if target.deferred else "unit: UnitOfWork"
    returns = payload if isinstance(target, Transform) else "None"
    return (
        f"{source.line(target, target.payload)}\n"
        f"from holdtrue.runtime import {'Work' if target.deferred else 'UnitOfWork'}\n\n\n"
        f"async def {function}({first}, payload: {payload}) -> {returns}:\n"
        f'    """{_sentence(target)}"""\n'
        f"{_body(target)}\n\n\n"
        f"# Add it where the app is composed: compose(…, bindings=[…, {hook}.bind({function})])\n"
        f"binding = {hook}.bind({function})\n"
    )


def _sentence(target: Bindable[Any]) -> str:
    text = target.doc or f"{target.kind} {target.name}"
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _body(target: Bindable[Any]) -> str:
    fields = ", ".join(target.payload.model_fields)
    about = f"    # payload: {fields}\n" if fields else ""
    if isinstance(target, Guard):
        return f"{about}    # refuse: raise Refused of holdtrue.runtime, or a subclass; return: it goes on"
    if isinstance(target, Transform):
        return f"{about}    return payload.model_copy(update={{}})"
    return (
        f"{about}    # may run more than once: what it changes is kept with its being done, in one transaction;\n"
        "    # call a provider before that, with work.key as its idempotency key\n"
        "    async with work.finish() as unit:\n"
        "        _ = unit.context.tenant"
    )
