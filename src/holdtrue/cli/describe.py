"""``holdtrue describe``: what modules offer, in words, as JSON, and as code to begin with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from holdtrue.check import composed
from holdtrue.contract.errors import UsageError
from holdtrue.contract.lock import LOCK_NAME, parse_lock
from holdtrue.contract.project import read_project
from holdtrue.contract.template import suggestion

Told = dict[str, Any]
Row = tuple[str, str, str]
_OFFERS = ("hooks", "events", "jobs")


def run(what: str | None, directory: Path, *, as_json: bool, python: str | None) -> str:
    """Describe everything, a module (``payments``), or what it offers (``payments.refund_allowed``).

    In the directory of a composed app that is what is composed there; elsewhere the built-in modules and those of
    installed packages.

    Raises:
        UsageError: there is no such module or thing, or the app cannot be imported.
    """
    project = read_project(directory)
    target = project.assembly or _of_lock(directory / LOCK_NAME)
    interpreter = composed.interpreter(directory, project, python)
    told = asyncio.run(composed.ask(directory, interpreter, "holdtrue.assembly.reference", *filter(None, [target])))
    found = told if what is None else _find(told, what)
    if as_json:
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if what is None:
        return "".join(f"{line}\n" for line in _overview(told))
    return "".join(f"{line}\n" for line in (_module(found) if "version" in found else _offer(found)))


def _of_lock(file: Path) -> str | None:
    return parse_lock(file.read_text(encoding="utf-8"), file).assembly if file.is_file() else None


def _find(told: Told, what: str) -> Told:
    name, _, thing = what.partition(".")
    modules = {each["name"]: each for each in told["modules"]}
    if name not in modules:
        raise UsageError(
            f"there is no module `{name}` {'in ' + told['app'] if told['app'] else 'installed'}",
            do=" ".join(filter(None, [suggestion(name, modules), f"There are: {', '.join(modules) or 'none'}."])),
        )
    module: Told = modules[name]
    if not thing:
        return module
    offers: dict[str, Told] = {each["name"]: each for kind in _OFFERS for each in module[kind]}
    if what not in offers:
        names = sorted(offers)
        raise UsageError(
            f"{name} offers no `{what}`",
            do=" ".join(filter(None, [suggestion(what, names), f"It offers: {', '.join(names) or 'nothing'}."])),
        )
    return offers[what]


def _overview(told: Told) -> Iterator[str]:
    yield f"{told['app']} is composed of:" if told["app"] else "Modules that are installed; compose them in an app:"
    names = [f"{each['name']} {each['version']}" for each in told["modules"]]
    width = max(map(len, names), default=0)
    for name, each in zip(names, told["modules"], strict=True):
        yield f"  {name:<{width}}  {each['doc']}"
        counts = ((key, len(each[key])) for key in ("hooks", "events", "permissions", "routes", "tables"))
        yield f"  {'':<{width}}  " + ", ".join(f"{count} {key}" for key, count in counts if count)
    yield ""
    yield "holdtrue describe MODULE tells its contract; MODULE.HOOK tells one hook, with code to begin with."


def _module(module: Told) -> Iterator[str]:
    yield f"{module['name']} {module['version']}: {module['doc']}"
    yield f"import it from: {module['package']}" if module["package"] else ""
    if module["requires"]:
        yield f"requires: {', '.join(module['requires'])}"
    if module["guarantees"]:
        yield f"keeps: {', '.join(module['guarantees'])} (holdtrue explain CODE)"
    for key, line in _LINES.items():
        yield from _table(key, [line(each) for each in module[key]])
    if module["settings"]:
        yield from ("", "settings", *(f"  {name}" for name in module["settings"]))


def _table(heading: str, rows: list[Row]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", heading)
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for first, second, third in rows:
        yield f"  {first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip()


_LINES: dict[str, Callable[[Told], Row]] = {
    "hooks": lambda each: (each["name"], _kind(each), each["doc"]),
    "events": lambda each: (each["name"], "audited" if each["audited"] else "", each["doc"]),
    "permissions": lambda each: (each["name"], "", each["doc"]),
    "routes": lambda each: (each["route"], each["access"], each["needs"]),
    "tables": lambda each: (each["name"], each["tenant"] or "global", each["global"] or ""),
    "mails": lambda each: (each["name"], each["stream"], each["subject"]),
    "effects": lambda each: (each["name"], f"approval: {each['approval']}", each["doc"]),
    "jobs": lambda each: (each["name"], f"lane {each['lane']}", each["doc"]),
}


def _kind(each: Told) -> str:
    return f"{each['kind']}, money" if each.get("money") else str(each["kind"])


def _offer(offer: Told) -> Iterator[str]:
    yield f"{offer['name']} ({_kind(offer)})" + (f": {offer['doc']}" if offer["doc"] else "")
    if offer.get("money"):
        yield "It decides about money: adding, removing or changing a binding needs an approval."
    yield from _table(
        f"payload {offer['payload']}",
        [(each["name"], each["type"], "" if each["required"] else "optional") for each in offer["fields"]],
    )
    yield from ("", f"bound here: {', '.join(offer['bound']) or 'nothing'}", "", offer["stub"].rstrip())
