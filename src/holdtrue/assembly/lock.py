"""Derives a composed app's lock and index for agents: ``python -m holdtrue.assembly.lock shop.main:assembly``."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

import holdtrue
from holdtrue.assembly.__main__ import assembly_at
from holdtrue.assembly.clashes import PORTS
from holdtrue.assembly.compose import Assembly
from holdtrue.assembly.index import index
from holdtrue.assembly.places import places
from holdtrue.assembly.routing import strays
from holdtrue.assembly.sources import Packages, digest_of, folder_of, top_packages
from holdtrue.contract import Bindable, Hook
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.lock import Bound, Lock, Pinned, Runtime
from holdtrue.runtime import Faults, Module

_BELOW = ("contract", "runtime", "assembly")


def lock(assembly: Assembly, target: str, directory: Path) -> Lock:
    """What an app in ``directory`` is made of. Reads files and opens nothing else.

    Raises:
        Faults: the ASGI app has routes that no module declares.
    """
    if faults := list(strays(assembly.blueprint, assembly.asgi)):
        raise Faults(faults)
    packages = Packages()
    directory = directory.resolve()
    modules: dict[str, Pinned] = {}
    own: list[Path] = []
    for module in assembly.modules:
        place = folder_of(module)
        distribution = None if _is_own(place, directory) else packages.owner(place)
        if distribution is None:
            own.append(place)
        modules[module.name] = Pinned(
            distribution=distribution.name if distribution else "",
            version=distribution.version if distribution else "",
            contract=module.contract.version,
            digest=module.promise.digest,
            source=digest_of(place) if distribution else "",
        )
    if (composed := _file_of(target)) is not None:
        own.append(composed)
    return Lock(
        schema_=1,
        assembly=target,
        source=digest_of(*top_packages(own)),
        runtime=Runtime(version=holdtrue.__version__, source=_runtime_source()),
        modules=modules,
        bindings=[
            Bound(
                target=each.target.name,
                kind=each.target.kind,
                function=each.name,
                money=isinstance(each.target, Hook) and each.target.money,
            )
            for each in assembly.bindings
        ],
        offers=_offers(assembly.modules),
        ports=_ports(assembly.modules),
        revisions={each.revision: digest_of(Path(each.path)) for each in assembly.migrations.order},
        document=assembly.document(target),
    )


def _offers(modules: Iterable[Module]) -> dict[str, str]:
    contracts = [module.contract for module in modules]
    targets = [each for contract in contracts for each in (*contract.hooks, *contract.events, *contract.jobs)]
    return {each.name: _carried(each) for each in targets}


def _carried(target: Bindable[Any]) -> str:
    fields = ", ".join(f"{name}: {_typed(field)}" for name, field in target.payload.model_fields.items())
    return f"{target.kind} {target.payload.__name__}({fields})"


def _typed(field: FieldInfo) -> str:
    kind = inspect.formatannotation(field.annotation)
    if field.is_required():
        return kind
    return f"{kind} = {'…' if field.default_factory else repr(field.default)}"


def _ports(modules: Iterable[Module]) -> dict[str, str]:
    """Who fills each port: an app may put a function of its own around a module's, and then it says so here."""
    filled = {port: filling for port in PORTS for module in modules if (filling := getattr(module, port)) is not None}
    return {
        port: f"{_said(filling, '__module__')}:{_said(filling, '__qualname__')}" for port, filling in filled.items()
    }


def _said(filling: object, name: str) -> str:
    return str(getattr(filling, name, None) or getattr(type(filling), name))


def _is_own(place: Path, directory: Path) -> bool:
    """Whether code belongs to the app's directory; an environment inside of it does not."""
    return place.is_relative_to(directory) and "site-packages" not in place.parts


def _file_of(target: str) -> Path | None:
    found = sys.modules.get(target.partition(":")[0])
    file = getattr(found, "__file__", None)
    return Path(file).resolve() if file else None


def _runtime_source() -> str:
    root = Path(holdtrue.__file__).resolve().parent
    return digest_of(*(root / name for name in _BELOW))


def main() -> int:
    """Print the lock, the index, and where the code says it; what the app itself prints goes to standard error."""
    parser = argparse.ArgumentParser(prog="python -m holdtrue.assembly.lock")
    parser.add_argument("target", help="where compose(…) put the assembly: shop.main:assembly")
    options = parser.parse_args()
    try:
        with redirect_stdout(sys.stderr):
            assembly = assembly_at(options.target)
            locked = lock(assembly, options.target, Path.cwd())
            told = {
                "lock": locked.as_json(),
                "index": index(assembly, options.target),
                "places": places(assembly, Path.cwd()),
            }
    except HoldtrueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
