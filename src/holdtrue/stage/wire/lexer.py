"""Tokens of PostgreSQL's SQL: enough to fold literals and split statements, and fast (one regular expression).

Source: PostgreSQL documentation, "Lexical Structure". `standard_conforming_strings` is taken to be on, its default.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class T(Enum):
    """Kind of a token."""

    WORD = "word"
    QUOTED = "quoted"
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "parameter"
    SYMBOL = "symbol"


class Token(NamedTuple):
    kind: T
    text: str  # words in lower case, everything else as sent
    start: int
    end: int


_TOKEN = re.compile(
    r"""
    (?P<space>   \s+ | --[^\r\n]* )
  | (?P<comment> /\* )
  | (?P<string>  [eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'
               | (?:[bBxXnN]|[uU]&)?'[^']*(?:''[^']*)*'
               | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
  | (?P<parameter> \$\d+ )
  | (?P<quoted>  (?:[uU]&)?"[^"]*(?:""[^"]*)*" )
  | (?P<word>    [^\W\d][\w$]* )
  | (?P<number>  0[xXoObB][\da-fA-F_]+ | (?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)? )
  | (?P<symbol>  :: | := | -> >? | \#- | [+-] | (?:(?!/\*)[*/<>=~!@#%^&|`?])+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_KINDS = {kind.value: kind for kind in T}


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of `sql` without white space and comments."""
    position, size = 0, len(sql)
    match_at = _TOKEN.match
    while position < size:
        match = match_at(sql, position)
        if match is None:  # cannot be: the last alternative takes any character
            raise ValueError(f"no token at offset {position}")
        name = match.lastgroup
        if name == "comment":
            position = _comment_end(sql, match.end())
            continue
        position = match.end()
        if name == "space":
            continue
        kind = _KINDS[name or "symbol"]
        text = match.group()
        yield Token(kind, text.lower() if kind is T.WORD else text, match.start(), position)


def _comment_end(sql: str, position: int) -> int:
    """Offset behind a block comment; they nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def statements(sql: str) -> Iterator[list[Token]]:
    """The tokens of each statement of a query string; empty ones are left out, as the server leaves them out."""
    current: list[Token] = []
    parentheses = atomic = 0
    for token in tokens(sql):
        text = token.text
        if token.kind is T.SYMBOL:
            if text == ";" and parentheses <= 0 and not atomic:
                if current:
                    yield current
                current, parentheses = [], 0
                continue
            parentheses += (text == "(") - (text == ")")
        elif token.kind is T.WORD:
            # The body of an SQL-standard function holds semicolons: BEGIN ATOMIC …; …; END.
            if atomic:
                atomic += (text == "case") - (text == "end")
            elif text == "atomic" and current and current[-1].text == "begin":
                atomic = 1
        current.append(token)
    if current:
        yield current
