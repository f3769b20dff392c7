"""Modules and an app, put together: what fits becomes an ``Assembly``, what does not is refused, all at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fastapi import FastAPI

from holdtrue.assembly.clashes import clashes
from holdtrue.assembly.describe import describe
from holdtrue.assembly.order import ordered
from holdtrue.contract import Binding, Contract
from holdtrue.contract.document import Document
from holdtrue.runtime import Faults, Module
from holdtrue.runtime.migrating import Migrations
from holdtrue.runtime.process import Blueprint
from holdtrue.runtime.registry import Registry
from holdtrue.runtime.web.app import HEALTH, build_app

HEALTH_MODULE = Module(contract=Contract(name="health", version="1.0.0"), routers=(HEALTH,))
"""The runtime's own routes take part in the search for clashes."""


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A composed app. Nothing is read from the environment and nothing is opened before a process is started."""

    name: str
    modules: tuple[Module, ...]
    """In order: each after all that it needs, the app last."""
    bindings: tuple[Binding, ...]
    """All of them, in order."""
    environ: Mapping[str, str]

    @cached_property
    def blueprint(self) -> Blueprint:
        """What a process is made of."""
        contracts = [module.contract for module in self.modules]
        bound: dict[str, tuple[Binding, ...]] = {}
        for binding in self.bindings:
            bound[binding.target.name] = (*bound.get(binding.target.name, ()), binding)
        registry = Registry(
            bindings=bound,
            events=frozenset(each for contract in contracts for each in contract.events),
            mails=frozenset(each for contract in contracts for each in contract.mails),
            permissions=frozenset(each.name for contract in contracts for each in contract.permissions),
            schedules=tuple(each for contract in contracts for each in contract.schedules),
            authenticator=next((each.authenticator for each in self.modules if each.authenticator), None),
            tenants=next((each.tenants for each in self.modules if each.tenants), None),
            mailer=next((each.mailer for each in self.modules if each.mailer), None),
            recorder=next((each.recorder for each in self.modules if each.recorder), None),
        )
        return Blueprint(
            title=self.name,
            registry=registry,
            endpoints=tuple(each for module in self.modules for router in module.routers for each in router.endpoints),
            migrations=self.migrations,
            metadata=tuple(module.metadata for module in self.modules if module.metadata is not None),
            settings=tuple(module.settings for module in self.modules if module.settings is not None),
            opens=tuple((module.settings, module.open) for module in self.modules if module.open is not None),
        )

    @cached_property
    def asgi(self) -> FastAPI:
        """The ASGI app: ``uvicorn shop.main:app``."""
        return build_app(self.blueprint, self.environ)

    @cached_property
    def migrations(self) -> Migrations:
        """The revisions of all modules."""
        return Migrations([module.migrations for module in self.modules if module.migrations is not None])

    def document(self, target: str) -> Document:
        """What ``holdtrue check`` reads. ``target``: where this value is, such as ``shop.main:assembly``."""
        return describe(self.name, self.modules, self.blueprint.settings, target)


def compose(
    app: Module,
    *modules: Module,
    name: str | None = None,
    bindings: Sequence[Binding] = (),
    environ: Mapping[str, str] | None = None,
) -> Assembly:
    """Put an app and its modules together.

    Bindings take effect in order: those of the modules by their requirements, then the app's, then the list.

    Raises:
        Faults: everything that is missing or does not fit, each with a code and both sides.
    """
    sorted_modules, faults = ordered(app, modules)
    bound = [(module.name, binding) for module in sorted_modules for binding in module.bindings]
    bound += [("the app", binding) for binding in bindings]
    faults += clashes([HEALTH_MODULE, *sorted_modules], bound)
    contracts = [module.promise for module in sorted_modules]
    faults += [fault for module in sorted_modules if module.verify for fault in module.verify(contracts)]
    if faults:
        raise Faults(faults)
    return Assembly(
        name=name or app.name,
        modules=tuple(sorted_modules),
        bindings=tuple(binding for _, binding in bound),
        environ=os.environ if environ is None else environ,
    )
