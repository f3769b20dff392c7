"""The order of modules: each after all that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from holdtrue.contract import Requirement
from holdtrue.runtime import Fault, Module


def ordered(app: Module, modules: Sequence[Module]) -> tuple[list[Module], list[Fault]]:
    """The modules in order, the app last, and what hinders an order."""
    faults: list[Fault] = []
    by_name: dict[str, Module] = {}
    for module in (*modules, app):
        if module.name in by_name:
            faults.append(
                Fault(
                    "MODULE_TWICE", f"two modules are named {module.name}", do="List each module once, under one name."
                )
            )
        by_name[module.name] = module
    needs: dict[str, list[str]] = {}
    for module in by_name.values():
        wanted = [Requirement.parse(each) for each in module.contract.requires]
        maybe = [Requirement.parse(each) for each in module.contract.optional]
        faults += [fault for each in wanted if (fault := _missing(module, each, by_name))]
        faults += [fault for each in maybe if each.module in by_name and (fault := _missing(module, each, by_name))]
        needs[module.name] = [each.module for each in (*wanted, *maybe) if each.module in by_name]
    needs[app.name] += [name for name in by_name if name != app.name and app.name not in needs[name]]
    try:
        names = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        names = error.args[1][:-1]
        first = names.index(min(names))
        cycle = " → ".join([*names[first:], *names[:first], names[first]])
        faults.append(
            Fault(
                "MODULE_CYCLE",
                f"modules need each other: {cycle}",
                do="Let one of them emit an event that the other binds.",
            )
        )
        names = list(by_name)
    return [by_name[name] for name in names], faults


def _missing(module: Module, wanted: Requirement, present: dict[str, Module]) -> Fault | None:
    found = present.get(wanted.module)
    if found is None:
        return Fault(
            "MODULE_MISSING",
            f"{module.name} requires {wanted.module}, which is not composed",
            do=f"Add {wanted.module} to compose(…).",
        )
    if not wanted.accepts(found.contract.version):
        return Fault(
            "MODULE_VERSION",
            f"{module.name} requires {wanted.module}>={wanted.major}.{wanted.minor}, not {found.contract.version}",
            why="A later major version may have changed what it promises.",
            do=f"Use versions of {module.name} and {wanted.module} that fit.",
        )
    return None
