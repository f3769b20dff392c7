"""What modules offer, as JSON: ``python -m holdtrue.assembly.reference [shop.main:assembly]``.

With a target it tells what is composed there; without, the modules that installed packages announce: the built-in ones
and those of third parties alike.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from typing import Any

from holdtrue.assembly.__main__ import assembly_at
from holdtrue.assembly.compose import Assembly
from holdtrue.assembly.sources import folder_of
from holdtrue.assembly.stubs import Source, stub
from holdtrue.contract import Bindable, Binding, Contract
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.runtime import Module, Router

GROUP = "holdtrue.modules"
"""The entry points by which a package announces its modules: name → the package with the module's ``contract``."""


def composed(assembly: Assembly) -> dict[str, Any]:
    """What is composed in an app."""
    told = [_module(each.promise, _package(each), assembly.bindings) for each in assembly.modules]
    return {"app": assembly.name, "modules": told}


def installed() -> dict[str, Any]:
    """The modules that installed packages announce."""
    told = []
    for package in _packages():
        contract: Contract = importlib.import_module(f"{package}.contract").CONTRACT
        told.append(_module(contract.with_routes(_routes(package)), package, ()))
    return {"app": None, "modules": told}


def _packages() -> list[str]:
    return sorted({each.value.partition(":")[0] for each in entry_points(group=GROUP)})


def _routes(package: str) -> tuple[Any, ...]:
    """The routes of a module that nobody has composed yet; those that depend on its arguments are not known then."""
    http = importlib.import_module(f"{package}.http") if importlib.util.find_spec(f"{package}.http") else None
    routers = [each for each in vars(http).values() if isinstance(each, Router)] if http else []
    return tuple(each.route for router in routers for each in router.endpoints)


def _package(module: Module) -> str:
    """The package, or the one file, to import a module's words from."""
    place = folder_of(module)
    file = str(place / "__init__.py" if place.is_dir() else place)
    return next((name for name, each in sys.modules.items() if getattr(each, "__file__", None) == file), "")


def _module(contract: Contract, package: str, bindings: Sequence[Binding]) -> dict[str, Any]:
    source = Source(package)
    return {
        "name": contract.name,
        "version": contract.version,
        "doc": contract.doc,
        "package": package,
        "digest": contract.digest,
        "requires": list(contract.requires),
        "permissions": [{"name": each.name, "doc": each.doc} for each in contract.permissions],
        "hooks": [_offer(each, source, bindings) | {"money": each.money} for each in contract.hooks],
        "events": [_offer(each, source, bindings) | {"audited": each.audited} for each in contract.events],
        "jobs": [_offer(each, source, bindings) | {"lane": each.lane} for each in contract.jobs],
        "routes": [_route(each) for each in contract.routes],
        "tables": [{"name": each.name, "tenant": each.tenant, "global": each.global_} for each in contract.tables],
        "mails": [{"name": each.name, "subject": each.subject, "stream": each.stream} for each in contract.mails],
        "effects": [{"name": each.name, "doc": each.doc, "approval": each.approval} for each in contract.effects],
        "settings": [each.name for each in contract.secrets] + [each.name for each in contract.variables],
        "guarantees": list(contract.guarantees),
        "contract": contract.as_json(),
    }


def _offer(target: Bindable[Any], source: Source, bindings: Sequence[Binding]) -> dict[str, Any]:
    return {
        "name": target.name,
        "kind": target.kind,
        "doc": target.doc,
        "payload": target.payload.__name__,
        "fields": [_field(name, each) for name, each in target.payload.model_fields.items()],
        "bound": [each.name for each in bindings if each.target == target],
        "stub": stub(target, source),
    }


def _field(name: str, field: Any) -> dict[str, Any]:
    kind = field.annotation
    shown = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
    return {
        "name": name,
        "type": shown.replace("typing.", "").replace("uuid.", "").replace("datetime.", ""),
        "required": field.is_required(),
    }


def _route(route: Any) -> dict[str, Any]:
    access: Mapping[str, Any] = vars(route.access)
    needs = access.get("name") or access.get("reason") or access.get("source")
    kind = type(route.access).__name__.lower().replace("signedin", "signed in")
    return {"route": route.key, "access": kind, "needs": getattr(needs, "name", needs) or ""}


def main() -> int:
    """Print it; what the app prints while it is imported goes to standard error."""
    parser = argparse.ArgumentParser(prog="python -m holdtrue.assembly.reference")
    parser.add_argument("target", nargs="?", help="where compose(…) put the assembly; none: what is installed")
    options = parser.parse_args()
    try:
        with redirect_stdout(sys.stderr):
            told = composed(assembly_at(options.target)) if options.target else installed()
    except HoldtrueError as error:
        sys.stderr.write(f"{error}\n")
        return UsageError.exit_code
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
