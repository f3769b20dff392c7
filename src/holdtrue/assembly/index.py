"""The index of a composed app that an agent reads first: what is there, by name, and which command tells the rest."""

from __future__ import annotations

from collections.abc import Iterator

from holdtrue.assembly.compose import Assembly
from holdtrue.contract import Contract

LIMIT_BYTES = 7_600
"""Of the index; with its markers and a few words of the app's own, AGENTS.md stays below 8 KB."""


def index(assembly: Assembly, target: str) -> str:
    """The index in Markdown. The larger the app, the fewer words on each thing, so that it stays within its bound."""
    head = _head(assembly, target)
    contracts = [module.promise for module in assembly.modules]
    for detail in (2, 1, 0):
        text = "\n".join([*head, *(line for each in contracts for line in _module(each, detail))]) + "\n"
        if len(text.encode()) <= LIMIT_BYTES:
            return text
    lines = [f"- {each.name} {each.version}: {_counts(each)}; `holdtrue describe {each.name}`" for each in contracts]
    while len("\n".join([*head, *lines]).encode()) > LIMIT_BYTES:
        lines = [*lines[: len(lines) // 2], "- and more: `holdtrue describe`"]
    return "\n".join([*head, *lines]) + "\n"


def _head(assembly: Assembly, target: str) -> list[str]:
    return [
        f"## {assembly.name}, composed with holdtrue",
        "",
        f"Composed in `{target}`. The dangerous parts (identity, tenants, money, mail, audit) are modules: do not",
        "write them anew, do not edit them where they are installed. Customise by bindings to the hooks below.",
        "",
        "- read a contract: `holdtrue describe MODULE`; a hook with a stub to copy: `holdtrue describe MODULE.HOOK`",
        "- after a change of routes, tables, permissions, hooks or modules: `holdtrue lock`",
        "- verify, before you say that it is done: `holdtrue lock --check && holdtrue check`",
        "- what a finding means: `holdtrue explain CODE`. Never silence one by making a route public.",
        "",
    ]


def _module(contract: Contract, detail: int) -> Iterator[str]:
    yield f"### {contract.name} {contract.version}" + (f": {contract.doc}" if contract.doc and detail else "")
    yield ""
    for heading, entries in (
        ("permissions", [(f"`{each.name}`", each.doc) for each in contract.permissions]),
        ("hooks", [(f"`{each.name}` ({_kind(each.kind, each.money)})", each.doc) for each in contract.hooks]),
        ("events", [(f"`{each.name}`", each.doc) for each in contract.events]),
    ):
        if not entries:
            continue
        if detail == 2 or (detail == 1 and heading == "hooks"):
            yield f"- {heading}:"
            yield from (f"  - {name}" + (f": {doc}" if doc else "") for name, doc in entries)
        else:
            yield f"- {heading}: " + ", ".join(name for name, _ in entries)
    if contract.tables and detail:
        yield "- tables: " + ", ".join(f"`{each.name}`" for each in contract.tables)
    if contract.routes and detail:
        yield "- routes: " + ", ".join(f"`{each.key}`" for each in contract.routes)
    yield ""


def _kind(kind: str, money: bool) -> str:
    return f"{kind}, money: a change needs an approval" if money else kind


def _counts(contract: Contract) -> str:
    return (
        f"{len(contract.permissions)} permissions, {len(contract.hooks)} hooks, {len(contract.events)} events, "
        f"{len(contract.routes)} routes"
    )
