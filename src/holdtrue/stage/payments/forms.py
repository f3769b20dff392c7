"""Stripe's parameter encoding: `a[b][0][c]=v`, `expand[]=x`, as the SDKs write it and as Rack reads it."""

import re
from typing import Any
from urllib.parse import parse_qsl

from holdtrue.stage.payments import errors

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(encoded: str) -> dict[str, Any]:
    """Nested dicts and lists of strings.

    Raises:
        StripeError: a key is malformed, or one name is used both as a value and as a container.
    """
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(encoded, keep_blank_values=True):
        match = _KEY.match(key)
        if match is None:
            raise errors.invalid(f"Invalid parameter name: {key}", param=key)
        _place(tree, [match[1], *_PART.findall(match[2])], value, key)
    return {name: _lists(value) for name, value in tree.items()}


def _place(tree: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    node = tree
    for at, part in enumerate(parts[:-1]):
        child = node.setdefault(_index(node, part, parts[at + 1 :]), {})
        if not isinstance(child, dict):
            raise errors.invalid(f"Invalid object: {parts[0]}", param=parts[0])
        node = child
    last = _index(node, parts[-1], [])
    if isinstance(node.get(last), dict):
        raise errors.invalid(f"Invalid string: {key}", param=key)
    node[last] = value


def _index(node: dict[str, Any], part: str, rest: list[str]) -> str:
    """`[]` appends: a new element, or the last one while it lacks the key that follows (Rack's rule)."""
    if part:
        return part
    count = len(node)
    if rest and count:
        last = node[str(count - 1)]
        if isinstance(last, dict) and rest[0] and rest[0] not in last:
            return str(count - 1)
    return str(count)


def _lists(value: Any) -> Any:
    """A dict whose keys are all numbers is a list, in the order of the numbers."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(child) for name, child in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner
