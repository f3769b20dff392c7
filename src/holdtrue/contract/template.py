"""Placeholders in a document's texts: ``{name}``, ``{secret:NAME}``, ``{id:int}``.

``{{`` and ``}}`` are literal braces. A secret is looked up as a whole, ``secret:NAME``. Any other argument is what
route templates call a convertor; it does not matter to whoever fills the path.

There is no expression language on purpose: what a rehearsal sends must be readable in the document as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from holdtrue.contract.errors import UsageError

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*(?::[^{}]*)?)\}|[{}]")


class TemplateError(UsageError):
    """A text with a stray brace, or with a placeholder that nothing fills."""


def suggestion(wrong: str, choices: Iterable[str]) -> str:
    """Return "did you mean `x`?" for the closest of ``choices``, or nothing when none is close."""
    close = closest(wrong, choices)
    return f"did you mean `{close}`?" if close is not None else ""


def closest(wrong: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is most like ``wrong``, if one is close, whatever its case."""
    folded = {choice.lower(): choice for choice in sorted(choices)}
    found = get_close_matches(wrong.lower(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def names(text: str) -> tuple[str, ...]:
    """Return the variables that ``text`` needs in their order, each once; ``{secret:KEY}`` needs ``secret:KEY``.

    Raises:
        TemplateError: the text has a stray brace.
    """
    return tuple(dict.fromkeys(name for _, name in _pieces(text) if name is not None))


def json_names(value: Any) -> tuple[str, ...]:
    """Return the variables that are needed by every string and key of a JSON value, each once.

    Raises:
        TemplateError: one of the texts has a stray brace.
    """
    return tuple(dict.fromkeys(name for text in _texts(value) for name in names(text)))


def render(text: str, variables: Mapping[str, Any], *, quote: Callable[[str], str] | None = None) -> str:
    """Fill the placeholders of ``text``.

    ``quote`` is applied to each filled value, not to the text around it: percent-encoding in paths, shell quoting in
    commands. A variable that is no string is written as JSON writes it.

    Raises:
        TemplateError: a stray brace, or a name that is not among the variables.
    """
    parts: list[str] = []
    for literal, name in _pieces(text):
        parts.append(literal)
        if name is not None:
            value = _text(_lookup(name, text, variables))
            parts.append(quote(value) if quote else value)
    return "".join(parts)


def render_json(value: Any, variables: Mapping[str, Any]) -> Any:
    """Fill the placeholders in every string of a JSON value.

    A string that is exactly one placeholder becomes the variable with its own type: a captured number stays a number.

    Raises:
        TemplateError: as ``render``.
    """
    if isinstance(value, str):
        whole = _TOKEN.fullmatch(value)
        if whole and whole["name"]:
            return _lookup(_variable(whole["name"]), value, variables)
        return render(value, variables)
    if isinstance(value, Mapping):
        return {render(str(key), variables): render_json(item, variables) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render_json(item, variables) for item in value]
    return value


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Cut a text into (literal, placeholder after it)."""
    literal: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        literal.append(text[end : token.start()])
        end = token.end()
        if token["name"]:
            yield "".join(literal), _variable(token["name"])
            literal = []
        elif token[0] in ("{{", "}}"):
            literal.append(token[0][0])
        else:
            raise TemplateError(
                f"a stray `{token[0]}` in `{text}`, at character {token.start() + 1}",
                why="Braces mark placeholders such as {shop_id}.",
                do=f"write `{token[0] * 2}` for a literal brace",
            )
    yield "".join(literal) + text[end:], None


def _variable(placeholder: str) -> str:
    name = placeholder.partition(":")[0]
    return placeholder if name == "secret" else name


def _lookup(name: str, text: str, variables: Mapping[str, Any]) -> Any:
    if name in variables:
        return variables[name]
    known = ", ".join(f"{{{each}}}" for each in sorted(variables)) or "none"
    raise TemplateError(
        f"nothing fills `{{{name}}}` in `{text}`",
        do=" ".join(part for part in (suggestion(name, variables), f"known here: {known}") if part),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
