"""Parses the values of a document into its models, and says of every misfit what was seen and what belongs there."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from holdtrue.contract.document import Document, Inbox, Name, Request, RouteKey, Run
from holdtrue.contract.positions import Positions
from holdtrue.contract.problems import Pointer, Problem, key_text
from holdtrue.contract.template import closest, suggestion

_STEPS: Mapping[str, type[BaseModel]] = {"request": Request, "mail": Inbox, "run": Run}
"""The key that tells which kind of step a table is."""

_KINDS = {
    "string": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "an array",
    "dict": "a table", "model": "a table", "date": "a date such as 2030-01-31",
}  # fmt: skip

_PATTERNS = {
    Name: "lower-case letters, digits and underscores, a letter first, such as `order_id`",
    RouteKey: '`METHOD /path`, such as "POST /orders"; the method in capitals',
}


def parse(values: dict[str, Any], positions: Positions) -> tuple[Document | None, list[Problem]]:
    """Return the document, where its shape allows one, and all problems of shape.

    A misspelt key is a problem, but it is taken for the key it resembles, so that one typo does not hide or cause
    other problems.
    """
    problems: list[Problem] = []
    while True:
        try:
            return Document.model_validate(values, by_alias=True, by_name=False), problems
        except ValidationError as error:
            details = [_Detail(detail, values) for detail in error.errors(include_url=False)]
        details = _of_the_meant_step(details, values)
        unknown = [detail for detail in details if detail.type == "extra_forbidden"]
        if not unknown:
            return None, problems + _described(details, positions)
        for detail in unknown:
            problems.append(_unknown_key(detail, positions))
            _repair(detail, values, positions)


class _Detail:
    """One of pydantic's errors, with the pointer as TOML has it and the models along its way."""

    def __init__(self, error: ErrorDetails, values: Any) -> None:
        self.error = error
        self.type = error["type"]
        self.pointer, self.models, self.is_key = _walk(error["loc"])

    @property
    def siblings(self) -> list[str]:
        """The keys that belong where this one stands."""
        return sorted(_keys(self.models[len(self.pointer) - 1])) if self.pointer else []


def _walk(loc: Sequence[str | int]) -> tuple[Pointer, list[Any], bool]:
    """Follow an error's location through the types, leaving out what pydantic adds for unions and keys."""
    pointer: list[str | int] = []
    kinds: list[Any] = [Document]
    for part in loc:
        kind = kinds[-1]
        if part == "[key]":
            return tuple(pointer), kinds, True
        options = _options(kind)
        if len(options) > 1:
            # Inside a union, pydantic names the branch: `Request`, `constrained-str`, `list[constrained-str]`.
            branch = str(part).replace("constrained-", "")
            kinds[-1] = next((option for option in options if _branch(option) == branch), kind)
            if kinds[-1] is not kind:
                continue
        pointer.append(part)
        kinds.append(_inner(options[0], part))
    return tuple(pointer), kinds, False


def _branch(option: Any) -> str:
    return option.__name__ if isinstance(option, type) and get_origin(option) is None else str(option)


def _inner(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _keys(kind).get(str(part), Any)
    arguments = get_args(kind)
    return arguments[-1] if get_origin(kind) in (dict, list) else Any


def _options(kind: Any) -> list[Any]:
    """Strip annotations and ``None``; a union has several options."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return [option for each in get_args(kind) if each is not type(None) for option in _options(each)]
    return [kind]


def _keys(kind: Any) -> dict[str, Any]:
    """TOML key → type, for a model."""
    model = _options(kind)[0]
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _of_the_meant_step(details: list[_Detail], values: Any) -> list[_Detail]:
    """Of the three kinds a step can be, keep the errors of the one it is meant to be."""
    kept: list[_Detail] = []
    undecided: set[Pointer] = set()
    for detail in details:
        loc = detail.error["loc"]
        branch = next((index for index, part in enumerate(loc) if part in ("Request", "Inbox", "Run")), None)
        if branch is None or not isinstance(loc[branch - 1], int):
            kept.append(detail)
            continue
        pointer = _walk(loc[:branch])[0]
        step = _value(values, pointer)
        meant = next((model for key, model in _STEPS.items() if isinstance(step, dict) and key in step), None)
        if meant is not None and meant.__name__ == loc[branch]:
            kept.append(detail)
        elif meant is None and pointer not in undecided:
            undecided.add(pointer)
            detail.pointer, detail.type, detail.is_key = pointer, "no_step", False
            kept.append(detail)
    return kept


def _value(values: Any, pointer: Pointer) -> Any:
    for part in pointer:
        values = values[part]
    return values


def _unknown_key(detail: _Detail, positions: Positions) -> Problem:
    key = str(detail.pointer[-1])
    hints = [suggestion(key, detail.siblings)]
    if not hints[0]:
        if key in _keys(Document) and len(detail.pointer) > 1:
            hints = [f"`{key}` belongs to the top of the document: move it above the first [table]"]
        hints.append(f"known here: {', '.join(detail.siblings)}")
    return Problem(
        position=positions.locate(detail.pointer), message="unknown key", hint="\n".join(filter(None, hints))
    )


def _repair(detail: _Detail, values: Any, positions: Positions) -> None:
    key = detail.pointer[-1]
    table = _value(values, detail.pointer[:-1])
    meant = closest(str(key), detail.siblings)
    value = table.pop(key)
    if meant is not None and meant not in table:
        table[meant] = value
        positions.rename(detail.pointer, (*detail.pointer[:-1], meant))


def _described(details: list[_Detail], positions: Positions) -> list[Problem]:
    """One problem per place: a value that fits none of several types fails once for each of them."""
    by_place: dict[tuple[Pointer, bool], list[_Detail]] = {}
    for detail in details:
        by_place.setdefault((detail.pointer, detail.is_key), []).append(detail)
    return [_describe(group, positions) for group in by_place.values()]


def _describe(group: list[_Detail], positions: Positions) -> Problem:
    detail = group[0]
    position = positions.locate(detail.pointer)
    message, hint = _words(detail, " or ".join(dict.fromkeys(_wanted(each) for each in group)))
    return Problem(position=position, message=message, hint=hint)


def _wanted(detail: _Detail) -> str:
    kind = detail.type.split("_")[0]
    return _KINDS.get(kind, kind)


def _words(detail: _Detail, wanted: str) -> tuple[str, str]:
    error, context = detail.error, detail.error.get("ctx", {})
    seen = _shown(error["input"])
    match detail.type:
        case "missing":
            key = key_text(detail.pointer[-1:])
            return "is missing", f"add `{key}` here; it has no default"
        case "no_step":
            return "this step does nothing", (
                'a step has one of `request` ("POST /orders"), `mail` (a recipient, to take a link out of the '
                "mailbox) and `run` (a command)"
            )
        case "literal_error":
            allowed = re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [str(context.get("expected"))]
            hint = suggestion(str(error["input"]), allowed)
            return f"{seen} is not allowed", "\n".join(filter(None, [hint, f"allowed: {', '.join(allowed)}"]))
        case "string_pattern_mismatch":
            return _pattern(detail, seen)
        case "string_too_short":
            least = context.get("min_length")
            return f"is {seen}, which is too short", f"write at least {least} character{'s' if least != 1 else ''}"
        case "too_short":
            return "is empty", "give at least one entry"
        case "value_error":
            return str(context.get("error", error["msg"])), ""
        case kind if kind.endswith(("_type", "_parsing")):
            return f"is {seen}, but must be {wanted}", _quoting_hint(wanted, error["input"])
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, but this is {seen}", ""


def _pattern(detail: _Detail, seen: str) -> tuple[str, str]:
    pattern = str(detail.error.get("ctx", {}).get("pattern", ""))
    words = next((words for kind, words in _PATTERNS.items() if _regex(kind) == pattern), f"must match {pattern}")
    what = "as a key" if detail.is_key else "here"
    hint = f"write {words}" if not words.startswith("must") else words
    if pattern.startswith("^[A-Z]{3,4}"):
        hint = "write the guarantee's code, such as PAY009"
    return f"{seen} cannot stand {what}", hint


def _regex(kind: Any) -> str:
    return next(str(metadata.pattern) for field in get_args(kind)[1:] for metadata in field.metadata)


def _quoting_hint(wanted: str, value: Any) -> str:
    if wanted == "a text" and isinstance(value, int | float):
        return f'write it in quotes: "{value}"'
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
