"""Whether placeholders are filled, and in time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from holdtrue.contract.document import Command, Document, Request, Route, Step
from holdtrue.contract.positions import Positions
from holdtrue.contract.problems import Pointer, Problem, key_text
from holdtrue.contract.template import TemplateError, json_names, suggestion

BUILT_IN = frozenset({"tenant", "unique", "canary", "password", "principal"})
"""Variables of every step."""

ENVIRONMENT = frozenset(
    {
        "postgres_url",
        "postgres_owner_url",
        "postgres_host",
        "postgres_port",
        "postgres_user",
        "postgres_password",
        "postgres_database",
        "stripe_url",
        "stripe_key",
        "stripe_webhook_secret",
        "smtp_host",
        "smtp_port",
        "port",
    }
)
"""What the stage gives to the app's processes; ``{secret:NAME}`` comes on top."""

COMMAND = ENVIRONMENT | {"python"}

OF_TENANT = frozenset({"tenant", "canary"})
"""Variables that a principal of the whole app does not have."""
_SECRET = re.compile(r"secret:[A-Za-z0-9_]+")
_SHELL = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)[^}]*\}")


class Placeholders:
    """Checks texts of a document against the variables that exist where they are used."""

    def __init__(self, document: Document, positions: Positions) -> None:
        self.problems: list[Problem] = []
        self._positions = positions
        self.captures = _captures(document)

    def add(self, pointer: Pointer, message: str, *hints: str) -> None:
        """Note a problem."""
        hint = "\n".join(filter(None, hints))
        self.problems.append(Problem(position=self._positions.locate(pointer), message=message, hint=hint))

    def environment(self, texts: Sequence[str], pointer: Pointer, known: frozenset[str]) -> None:
        """Check an environment value or a command of the app's processes."""
        for shell in (found for text in texts for found in _SHELL.finditer(text)):
            self.add(
                pointer,
                f"`{shell[0]}` is written as a shell would have it; nothing expands it here",
                suggestion(shell[1], known) or f"write the value itself, or name an instrument; {_listed(known)}",
            )
            texts = [text.replace(shell[0], "") for text in texts]
        for name in self.names(texts, pointer):
            if name in known or _SECRET.fullmatch(name):
                continue
            if name == "secret" or name.startswith("secret:"):
                self.add(pointer, f"`{{{name}}}` does not name its secret", "write {secret:SESSION_KEY}")
            else:
                self.add(pointer, f"unknown placeholder `{{{name}}}`", suggestion(name, known) or _listed(known))

    def filled(self, texts: Sequence[str], pointer: Pointer, known: Iterable[str]) -> None:
        """Check that every placeholder has a variable."""
        known = set(known)
        for name in self.names(texts, pointer):
            if name not in known and not (known >= COMMAND and _SECRET.fullmatch(name)):
                self.add(pointer, f"nothing fills `{{{name}}}` here", *self._unfilled(name, known))

    def _unfilled(self, name: str, known: set[str]) -> tuple[str, ...]:
        if name in OF_TENANT:
            return ('a principal of the whole app (`per = "app"`) belongs to no tenant',)
        if name == "unique":
            return ("`{unique}` changes at every use, so it cannot be what identifies somebody; capture a value",)
        if name in self.captures:
            captured = self.captures[name]
            line = self._positions.locate(captured).line
            return (
                f"`{name}` is captured by {key_text(captured[:-2])} (line {line}), which comes later or in another "
                "scope",
            )
        return (
            suggestion(name, known),
            f'capture it in an earlier step: capture = {{ {name} = "id" }}',
            f"filled here: {', '.join(sorted(known - COMMAND))}",
        )

    def names(self, texts: Sequence[str], pointer: Pointer) -> tuple[str, ...]:
        """Return the placeholders of texts; a malformed text is a problem and has none."""
        try:
            return json_names(list(texts))
        except TemplateError as error:
            self.add(pointer, error.seen, error.do)
            return ()

    def capture(self, name: str, where: str, step: Step, pointer: Pointer) -> None:
        """Check what a capture is called and where it looks."""
        if name in BUILT_IN:
            self.add(pointer, f"`{name}` is filled by the check; a capture would hide it", "choose another name")
        if isinstance(step, Request):
            kind, colon, rest = where.partition(":")
            if colon and kind in ("header", "cookie") and not rest:
                self.add(pointer, f'"{where}" names no {kind}', f'write "{kind}:NAME"')
            return
        try:
            groups = re.compile(where).groups
        except re.error as error:
            self.add(pointer, f'"{where}" is no regular expression: {error}', "in TOML, write it in single quotes")
            return
        if groups != 1:
            self.add(
                pointer,
                f'"{where}" has {groups} groups, but must have one: what it captures',
                "write (…) around what is captured, and (?:…) elsewhere",
            )

    def filled_request(self, request: Request | Route, pointer: Pointer, known: Iterable[str]) -> None:
        """Check what a request sends beside its path."""
        for table, texts in (("headers", request.headers), ("query", request.query), ("form", request.form or {})):
            for key, text in texts.items():
                self.filled([text], (*pointer, table, key), known)
        for inside, text in _leaves(request.json_):
            self.filled([text], (*pointer, "json", *inside), known)


def _listed(known: Iterable[str]) -> str:
    return "known here: " + ", ".join(f"{{{name}}}" for name in sorted({*known, "secret:NAME"}))


def _leaves(value: Any) -> Iterator[tuple[Pointer, str]]:
    """Every text in a JSON value, with the way to it."""
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield (key,), key
            for inside, text in _leaves(item):
                yield (key, *inside), text
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for inside, text in _leaves(item):
                yield (index, *inside), text


def _captures(document: Document) -> dict[str, Pointer]:
    """Variable → where the cast first captures it."""
    owners: list[tuple[Pointer, Sequence[Step]]] = [
        *((("principals", name, "steps"), each.steps) for name, each in document.principals.items()),
        *((("resources", name, "steps"), each.steps) for name, each in document.resources.items()),
    ]
    found: dict[str, Pointer] = {}
    for pointer, steps in owners:
        for index, step in enumerate(steps):
            for name in step.capture:
                found.setdefault(name, (*pointer, index, "capture", name))
    return found


def words(command: Command | None) -> list[str]:
    """Return the texts of a command that hold placeholders."""
    return [] if command is None else [command] if isinstance(command, str) else command
