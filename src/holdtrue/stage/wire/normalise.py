"""What a statement is: its shape, its kind, whether it can change rows, whether it is a point to hold or cut at.

The *shape* is the text with literals and parameter marks folded to `?`, lists of equal items folded to one item, white
space and comments dropped, unquoted names in lower case, and names that drivers generate (savepoints, cursors, prepared
statements) folded too: the same code gives the same shape in every run.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from holdtrue.stage.wire.effects import Effect, effect_of
from holdtrue.stage.wire.lexer import T, Token, statements
from holdtrue.stage.wire.vocabulary import INFORMATION, NOT_CALLED, UNARY_AFTER

Kind = Literal[
    "select", "insert", "update", "delete", "merge", "ddl", "begin", "commit", "rollback", "rollback_to", "savepoint",
    "release", "copy", "set", "show", "call", "other",
]  # fmt: skip

_KINDS: dict[str, Kind] = {
    "select": "select", "values": "select", "table": "select",
    "insert": "insert", "update": "update", "delete": "delete", "merge": "merge",
    "begin": "begin", "start": "begin", "commit": "commit", "end": "commit",
    "rollback": "rollback", "abort": "rollback",
    "savepoint": "savepoint", "release": "release", "copy": "copy", "call": "call", "do": "call",
    "set": "set", "reset": "set", "show": "show",
    "create": "ddl", "alter": "ddl", "drop": "ddl", "truncate": "ddl", "comment": "ddl", "grant": "ddl",
    "revoke": "ddl", "reindex": "ddl", "cluster": "ddl", "refresh": "ddl", "import": "ddl", "security": "ddl",
    "reassign": "ddl",
}  # fmt: skip
_VERBS = frozenset(("select", "values", "table", "insert", "update", "delete", "merge"))
_CHANGING = frozenset(("insert", "update", "delete", "merge"))
_ALWAYS_WRITES = frozenset(("insert", "update", "delete", "merge", "ddl", "call"))
_NEVER_POINTS = frozenset(("begin", "set", "show"))
_HOUSEKEEPING = frozenset(("close", "unlisten", "listen", "deallocate", "discard", "prepare"))

_GENERATED_AFTER = frozenset(("savepoint", "release", "to", "declare", "close", "execute", "deallocate", "prepare"))


@dataclass(frozen=True, slots=True)
class Part:
    """One statement of a query string."""

    sql: str
    shape: str
    kind: Kind
    writes: bool
    """Can change rows, as far as the text tells; see `calls`."""
    calls: frozenset[str]
    """Names, without schema, of functions called: some may write (`Wire.writing_functions`)."""
    is_point: bool
    effect: Effect | None


def analyse(sql: str) -> tuple[Part, ...]:
    """The statements of a query string as sent; none for an empty one."""
    return _analyse(sql) if len(sql) < _LONG else _analyse_long(sql)


def _parts(sql: str) -> tuple[Part, ...]:
    return tuple(_part(sql, found) for found in statements(sql))


# Long texts are loads of inlined values, never to come again: remember only those at work.
_LONG = 10_000
_analyse = lru_cache(maxsize=4096)(_parts)
_analyse_long = lru_cache(maxsize=8)(_parts)


def _part(sql: str, found: Sequence[Token]) -> Part:
    kind, writes = classify(found)
    calls = _calls(found)
    return Part(
        sql=sql[found[0].start : found[-1].end],
        shape=shape_of(found),
        kind=kind,
        writes=writes,
        calls=calls,
        is_point=_is_point(found, kind, calls),
        effect=effect_of(found),
    )


def classify(found: Sequence[Token]) -> tuple[Kind, bool]:
    """Kind of the statement, and whether its text says that it can change rows."""
    head = next((token.text for token in found if token.text != "("), "")
    second = found[1].text if len(found) > 1 else ""
    if head == "with":
        head = _verb_at_top(found)
    if head == "explain":
        return "other", _explain_writes(found)
    if head == "prepare":
        return "other", second == "transaction"
    if head == "execute":
        return "other", True
    if head == "commit" and second == "prepared":
        return "commit", True  # of what was written elsewhere, perhaps by another session
    if head == "rollback" and any(token.text == "to" for token in found[1:4]):
        return "rollback_to", False
    kind = _KINDS.get(head, "other")
    if kind == "copy":
        return kind, _copies_in(found)
    return kind, kind in _ALWAYS_WRITES or (kind == "select" and (_has_changing_query(found) or _selects_into(found)))


def _at_top(found: Sequence[Token]) -> list[str]:
    """Texts of the tokens outside parentheses."""
    texts, depth = [], 0
    for token in found:
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif depth == 0 and token.kind is T.WORD:
            texts.append(token.text)
    return texts


def _verb_at_top(found: Sequence[Token]) -> str:
    return next((text for text in _at_top(found) if text in _VERBS), "select")


def _has_changing_query(found: Sequence[Token]) -> bool:
    """A data-modifying common table expression: WITH x AS (INSERT …) SELECT …"""
    return found[0].text == "with" and any(
        left.text == "(" and right.kind is T.WORD and right.text in _CHANGING for left, right in pairwise(found)
    )


def _selects_into(found: Sequence[Token]) -> bool:
    return "into" in _at_top(found)


def _copies_in(found: Sequence[Token]) -> bool:
    direction = next((text for text in _at_top(found) if text in ("from", "to")), "")
    return direction == "from"


def _explain_writes(found: Sequence[Token]) -> bool:
    start = next((i for i, token in enumerate(found) if token.text in _VERBS or token.text == "with"), len(found))
    analysed = any(token.text in ("analyze", "analyse") for token in found[:start])
    return analysed and start < len(found) and classify(found[start:])[1]


def _calls(found: Sequence[Token]) -> frozenset[str]:
    return frozenset(
        left.text if left.kind is T.WORD else left.text[1:-1]
        for left, right in pairwise(found)
        if right.text == "(" and (left.kind is T.QUOTED or (left.kind is T.WORD and left.text not in NOT_CALLED))
    )


def _is_point(found: Sequence[Token], kind: Kind, calls: frozenset[str]) -> bool:
    if kind in _NEVER_POINTS or (found[0].text in _HOUSEKEEPING and found[-1].text != "transaction"):
        return found[0].text == "prepare" and found[1].text == "transaction" if len(found) > 1 else False
    if kind != "select" or _has_changing_query(found):
        return True
    relations = _relations(found)
    if not relations:
        # A ping (SELECT 1) or a question about the session; an advisory lock or an own function is a point.
        return not calls <= INFORMATION or any(token.text == "from" for token in found)
    return not all(_is_system(schema, name) for schema, name in relations)


def _is_system(schema: str, name: str) -> bool:
    return schema in ("pg_catalog", "information_schema") or (not schema and name.startswith("pg_"))


def _relations(found: Sequence[Token]) -> list[tuple[str, str]]:
    """(schema, name) after FROM and JOIN, without the names of common table expressions and without functions."""
    own = _common_table_names(found)
    relations = []
    for i, token in enumerate(found):
        if token.kind is not T.WORD or token.text not in ("from", "join"):
            continue
        j = i + 1
        while j < len(found) and found[j].text in ("lateral", "only"):
            j += 1
        names: list[str] = []
        while j < len(found) and found[j].kind in (T.WORD, T.QUOTED):
            names.append(found[j].text.strip('"'))
            if j + 1 < len(found) and found[j + 1].text == ".":
                j += 2
            else:
                break
        is_function = j + 1 < len(found) and found[j + 1].text == "("
        if names and not is_function and not (len(names) == 1 and names[0] in own):
            relations.append((names[-2] if len(names) > 1 else "", names[-1]))
    return relations


def _common_table_names(found: Sequence[Token]) -> frozenset[str]:
    if found[0].text != "with":
        return frozenset()
    names = set()
    for i, token in enumerate(found[:-1]):
        if token.text != "as" or i == 0 or found[i + 1].text not in ("(", "materialized", "not"):
            continue
        j = i - 1
        if found[j].text == ")":
            while j > 0 and found[j].text != "(":
                j -= 1
            j -= 1
        names.add(found[j].text.strip('"'))
    return frozenset(names)


_ITEM = r"[^(),\[\]]+(?:\([^()]*\))?[^(),\[\]]*"
_IN_LIST = re.compile(rf"\bin \(({_ITEM})(?:, \1)+\)")
_ARRAY = re.compile(rf"\[({_ITEM})(?:, \1)+\]")
_ROWS = re.compile(r"(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))(?:, \1)+")


def shape_of(found: Sequence[Token]) -> str:
    """The normalised text of one statement."""
    out: list[str] = []
    previous: Token | None = None
    generated = found[0].text in ("savepoint", "release", "rollback", "declare", "fetch", "move", "close", "execute",
                                  "deallocate", "prepare")  # fmt: skip
    for token in found:
        text = _folded(token, previous, generated=generated)
        if text == "?" and out:
            if previous is not None and previous.kind is token.kind is T.STRING:
                continue  # adjacent strings are one literal
            if token.kind is T.NUMBER and out[-1] in ("-", "+") and len(out) > 1 and out[-2] in UNARY_AFTER:
                out.pop()
        out.append(text)
        previous = token
    shape = _joined(out)
    if ", " in shape:
        shape = _IN_LIST.sub(r"in (\1)", shape)
        shape = _ARRAY.sub(r"[\1]", shape)
        shape = _ROWS.sub(r"\1", shape)
    return shape


def _folded(token: Token, previous: Token | None, *, generated: bool) -> str:
    kind, text = token.kind, token.text
    before = previous.text if previous is not None else ""
    if kind in (T.STRING, T.NUMBER, T.PARAMETER):
        return "?"
    if generated and kind is T.QUOTED:
        return "?"
    if kind is T.WORD:
        if text in ("true", "false") and before not in ("is", "not"):
            return "?"
        if text == "null" and before in ("(", ",", "="):
            return "?"
        if generated and before in _GENERATED_AFTER and text not in ("savepoint", "all", "transaction", "prepare"):
            return "?"
    return text


def _joined(texts: Sequence[str]) -> str:
    """Texts with the spaces that a person would write."""
    parts: list[str] = []
    tight, previous = True, ""
    for text in texts:
        called = text == "(" and previous.isidentifier() and previous not in NOT_CALLED
        if tight or called or text in (",", ")", "]", ".", "::", ";", "["):
            parts.append(text)
        else:
            parts.append(" " + text)
        tight, previous = text in ("(", "[", ".", "::"), text
    return "".join(parts)
