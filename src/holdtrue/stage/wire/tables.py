"""Which table a statement makes, by its text."""

from __future__ import annotations

from holdtrue.stage.wire.lexer import T, Token, tokens

_PASSING = frozenset(("temp", "temporary", "global", "local"))


def made_table(sql: str) -> str | None:
    """The table that a ``CREATE TABLE`` makes, with its schema if that is said; None for anything else.

    A table of the session and a partition of another table are none.
    Source: PostgreSQL documentation, "CREATE TABLE", "CREATE TABLE AS".
    """
    found = list(tokens(sql))
    words = [token.text for token in found]
    if words[:1] != ["create"]:
        return None
    at = 2 if words[1:2] == ["unlogged"] else 1
    if words[at : at + 1] != ["table"] or _PASSING & set(words[1:at]):
        return None
    at += 4 if words[at + 1 : at + 4] == ["if", "not", "exists"] else 1
    name = _name(found[at:])
    after = at + 2 * name.count(".") + 1
    return None if words[after : after + 2] == ["partition", "of"] else name or None


def _name(found: list[Token]) -> str:
    parts: list[str] = []
    for at in range(0, len(found), 2):
        if found[at].kind not in (T.WORD, T.QUOTED):
            break
        parts.append(_bare(found[at]))
        if at + 1 >= len(found) or found[at + 1].text != ".":
            break
    return ".".join(parts)


def _bare(token: Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.kind is T.QUOTED else token.text
