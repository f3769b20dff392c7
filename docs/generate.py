"""Writes docs/reference from the code, or with --check says which of its pages no longer fit.

Usage: python docs/generate.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from holdtrue.cli.check import EXIT_CODES
from holdtrue.cli.main import app
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.schema import document_schema, report_schema
from holdtrue.contract.words import Place
from holdtrue.guarantees import ALL, Guarantee

REFERENCE = Path(__file__).parent / "reference"
_NOTICE = "<!-- Written by `./dev docs`. Change the code, not this page. -->\n\n"
_HELP_WIDTH = 100

_PLACES = {
    Place.AUTH: "who may do what",
    Place.PAYMENTS: "money and its webhooks",
    Place.EMAIL: "mail that must arrive",
    Place.AUDIT: "the record of who changed what",
    Place.TENANCY: "one customer's data and another's",
    Place.RELEASES: "migrations and deploys",
    Place.CORE: "what the document itself leaves out",
}

Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """Every page of the reference: its path below docs/reference, and its text."""
    return {
        "document.schema.json": _json(document_schema()),
        "report.schema.json": _json(report_schema()),
        "document.md": _NOTICE + _document(),
        "report.md": _NOTICE + _report(),
        "command-line.md": _NOTICE + _command_line(),
        "guarantees/README.md": _NOTICE + _guarantee_index(),
        **{f"guarantees/{place}.md": _NOTICE + _guarantees(place) for place in Place if _of(place)},
    }


# -- guarantees -------------------------------------------------------------------------------------------------------


def _of(place: Place) -> list[Guarantee]:
    return sorted((each for each in ALL if each.place is place), key=lambda each: each.code)


def _guarantee_index() -> str:
    parts = [
        "# Guarantees\n\nEach guarantee is named by what must not happen. The same text is on the command line: "
        "`holdtrue explain CODE`.\n"
    ]
    for place in Place:
        if _of(place):
            parts.append(
                f"## {place.capitalize()}: {_PLACES[place]}\n\n| code | severity | must not happen |\n|---|---|---|"
            )
            parts += [
                f"| [{each.code}]({place}.md#{each.code.lower()}) | {each.severity} | {each.title} |"
                for each in _of(place)
            ]
            parts.append("")
    return "\n".join(parts)


def _guarantees(place: Place) -> str:
    return f"# {place.capitalize()}: {_PLACES[place]}\n\n" + "\n".join(map(_guarantee, _of(place)))


def _guarantee(guarantee: Guarantee) -> str:
    parts = [
        f"## {guarantee.code}\n\n**{guarantee.title}.** Severity: {guarantee.severity}.\n",
        f"The promise: {guarantee.promise}\n",
    ]
    parts += [f"### {heading}\n\n{text}\n" for heading, text in guarantee.sections.items()]
    parts.append(
        f"### What to do\n\n{guarantee.do}\n\n{guarantee.do_not}\n\n{guarantee.why}\n\n"
        f"    holdtrue check --only {guarantee.code}\n"
    )
    return "\n".join(parts)


# -- schemas ----------------------------------------------------------------------------------------------------------


def _document() -> str:
    return (
        "# holdtrue.toml: the contract document\n\n"
        "A key that is not listed here is an error. Editors complete and check the file with\n"
        "[document.schema.json](document.schema.json).\n\n" + "\n".join(_sections(document_schema(), "holdtrue.toml"))
    )


def _report() -> str:
    return (
        "# The report\n\n`holdtrue check --json` writes it, and every run keeps one beside the document, at\n"
        "`.holdtrue/runs/<time>/report.json`. Its schema is [report.schema.json](report.schema.json).\n\n"
        + "\n".join(_sections(report_schema(), "report"))
    )


def _sections(schema: Schema, root: str) -> Iterator[str]:
    """A section for each kind of table, with where it stands; those that stand in several places come last."""
    tables: Schema = schema["$defs"]
    places: dict[str, list[str]] = {}
    _find_places(schema, "", tables, places)
    yield _section(f"`{root}`", schema, tables, places)
    for name, where in sorted(places.items(), key=lambda item: len(item[1]) > 1):
        yield _section(_heading(name, places), tables[name], tables, places, where if len(where) > 1 else [])


def _find_places(node: Schema, path: str, tables: Schema, places: dict[str, list[str]]) -> None:
    for key, value in node.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        for name, suffix in _references(value):
            if "properties" not in tables[name]:
                continue
            known = name in places
            places.setdefault(name, []).append(here + suffix)
            if not known:
                _find_places(tables[name], here + suffix, tables, places)


def _references(value: Schema, suffix: str = "") -> Iterator[tuple[str, str]]:
    """The tables that a value may hold, each with how it is reached: by a name, or as one of a list."""
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], suffix
    for option in value.get("anyOf", []):
        yield from _references(option, suffix)
    if "items" in value:
        yield from _references(value["items"], suffix + "[]")
    for inside in _values(value):
        yield from _references(inside, suffix + ".NAME")


def _values(value: Schema) -> list[Schema]:
    """What the values of a table with free names may be."""
    additional = value.get("additionalProperties")
    return [*value.get("patternProperties", {}).values(), *([additional] if isinstance(additional, dict) else [])]


def _heading(name: str, places: dict[str, list[str]]) -> str:
    return name if len(places[name]) > 1 else f"`{places[name][0]}`"


def _anchor(heading: str) -> str:
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")


def _section(
    heading: str, node: Schema, tables: Schema, places: dict[str, list[str]], where: list[str] | None = None
) -> str:
    lines = [f"## {heading}\n", *([f"{node['description']}\n"] if "description" in node else [])]
    if where:
        lines.append(f"It stands at {', '.join(f'`{each}`' for each in where)}.\n")
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    required = node.get("required", [])
    for key, value in node["properties"].items():
        default = "required" if key in required else _default(value)
        meaning = value.get("description", "").replace("|", "\\|")
        lines.append(f"| `{key}` | {_type(value, tables, places)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: Schema) -> str:
    default = value.get("default")
    return "" if default in (None, [], {}, "") else f"`{json.dumps(default, ensure_ascii=False)}`"


def _type(value: Schema, tables: Schema, places: dict[str, list[str]]) -> str:
    """A value's type in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        if name in places:
            return f"[{_heading(name, places)}](#{_anchor(_heading(name, places))})"
        return _type(tables[name], tables, places)
    if "anyOf" in value:
        options = [option for option in value["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(_type(option, tables, places) for option in options))
    if "const" in value or "enum" in value:
        return " or ".join(f"`{json.dumps(each)}`" for each in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        inside = _type(value.get("items", {}), tables, places)
        return f"list of ({inside})" if " or " in inside else f"list of {inside}"
    if value.get("type") == "object":
        inside = " or ".join(dict.fromkeys(_type(each, tables, places) for each in _values(value)))
        return f"table: name → {inside or 'any value'}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return str(value.get("format") or words.get(str(value.get("type")), "any value"))


# -- the command line -------------------------------------------------------------------------------------------------


def _command_line() -> str:
    parts = ["# The command line\n", _exit_codes(), f"## holdtrue\n\n{_help()}"]
    names = sorted(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)
    parts += [f"## holdtrue {name}\n\n{_help(name)}" for name in names]
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = {code: str(verdict) for verdict, code in EXIT_CODES.items()}
    for error, words in ((UsageError, "wrong usage or configuration"), (HoldtrueError, "could not run")):
        rows[error.exit_code] = " or ".join(filter(None, [rows.get(error.exit_code), words]))
    lines = [
        "## Exit codes\n",
        "| code | meaning |",
        "|---|---|",
        *(f"| {code} | {rows[code]} |" for code in sorted(rows)),
    ]
    return "\n".join(lines) + "\n"


def _help(*command: str) -> str:
    result = CliRunner().invoke(
        app, [*command, "--help"], prog_name="holdtrue", terminal_width=_HELP_WIDTH, color=False
    )
    if result.exit_code != 0:
        raise RuntimeError(f"`holdtrue {' '.join(command)} --help` ended with {result.exit_code}: {result.output}")
    lines = [line.rstrip() for line in result.output.splitlines()]
    return "```text\n" + "\n".join(lines).strip() + "\n```\n"


# -- writing ----------------------------------------------------------------------------------------------------------


def _json(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def differing() -> list[str]:
    """The pages that are not what the code says, and those that it no longer has."""
    wanted = pages()
    present = {path.relative_to(REFERENCE).as_posix() for path in REFERENCE.rglob("*") if path.is_file()}
    return sorted(
        name
        for name in wanted.keys() | present
        if name not in wanted or name not in present or (REFERENCE / name).read_text(encoding="utf-8") != wanted[name]
    )


def write() -> None:
    """Write every page, and remove those that the code no longer has."""
    wanted = pages()
    for path in [path for path in REFERENCE.rglob("*") if path.is_file()]:
        if path.relative_to(REFERENCE).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write or compare; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    changed = differing()
    if not arguments:
        write()
    for name in changed:
        print(f"docs/reference/{name}: {'not what the code says; run ./dev docs' if arguments else 'written'}")
    return 1 if arguments and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
