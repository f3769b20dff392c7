"""Where the code of a composed app says what its document has: what a finding points at, instead of a derived file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from holdtrue.assembly.compose import Assembly
from holdtrue.assembly.routing import place_of
from holdtrue.assembly.sources import folder_of
from holdtrue.runtime import Module

Place = tuple[Sequence[str], str, int]
"""The keys that lead to a part of the document, a file, and a line counted from 1."""


def places(assembly: Assembly, directory: Path) -> list[Place]:
    """Files of the app are named below its directory, others by their whole path."""
    found = [each for module in assembly.modules for each in (*_routes(module), *_declared(module))]
    return [(pointer, _below(file, directory), line) for pointer, file, line in found]


def _below(file: Path, directory: Path) -> str:
    file, root = file.resolve(), directory.resolve()
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _routes(module: Module) -> Iterator[tuple[tuple[str, ...], Path, int]]:
    hooks = {webhook.route: name for name, webhook in module.contract.rehearsal.webhooks.items()}
    for endpoint in (each for router in module.routers for each in router.endpoints):
        file, _, line = place_of(endpoint.function).rpartition(":")
        if file:
            yield ("routes", endpoint.route.key), Path(file), int(line)
            if endpoint.route.key in hooks:
                yield ("webhooks", hooks[endpoint.route.key]), Path(file), int(line)


def _declared(module: Module) -> Iterator[tuple[tuple[str, ...], Path, int]]:
    """By name, in the file that is most likely to say it first."""
    contract, told = module.contract, module.contract.rehearsal
    sought: list[tuple[tuple[str, ...], str]] = [
        *((("tenancy", "tables" if each.tenant else "global", each.name), each.name) for each in contract.tables),
        *((("permissions", each.name), each.name) for each in contract.permissions),
        *((("mail", name), name) for name in told.mail),
        *((("principals", name), name) for name in told.principals),
        *((("resources", name), name) for name in told.resources),
        *((("tenancy", "removals", name), name) for name in told.removals),
        *((("endings", name), name) for name in told.endings),
        *((("audit", "tables"), name) for name in told.audit_tables[:1]),
    ]
    texts = dict(_texts(folder_of(module)))
    for pointer, name in sought:
        lines = ((file, line) for file, text in texts.items() if (line := _first(text, f'"{name}"')))
        for file, line in islice(lines, 1):
            yield pointer, file, line


def _first(text: str, word: str) -> int:
    """The line that has it first; 0 where none has."""
    at = text.find(word)
    return text.count("\n", 0, at) + 1 if at >= 0 else 0


def _texts(folder: Path) -> Iterator[tuple[Path, str]]:
    files = [folder] if folder.is_file() else [*folder.glob("contract.py"), *folder.glob("rehearsal.py")]
    for file in files:
        yield file, file.read_text(encoding="utf-8")
