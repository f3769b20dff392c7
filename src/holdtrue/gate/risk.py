"""What the statements of a migration may cost in production: what is lost, rewritten, locked, opened or hidden.

Read off the SQL by patterns, so that who approves knows where to look. It is no proof of harmlessness, and nothing
depends on it: every migration needs an approval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from holdtrue.gate.paper import Risk

Kind = Literal["drop", "rewrite", "lock", "security", "data", "hidden"]

_SHOWN = 160
_PATTERNS: tuple[tuple[Kind, str, str], ...] = (
    ("drop", r"\bDROP (TABLE|SCHEMA|DATABASE|COLUMN|TYPE|SEQUENCE|MATERIALIZED VIEW)\b", "what is in it is gone"),
    ("drop", r"^TRUNCATE\b", "every row is gone"),
    ("drop", r"^ALTER TABLE .*\bDROP (?!CONSTRAINT|NOT NULL|DEFAULT|IDENTITY|EXPRESSION)", "what is in it is gone"),
    ("data", r"^DELETE FROM\b(?!.*\bWHERE\b)", "it deletes every row"),
    ("data", r"^UPDATE\b(?!.*\bWHERE\b)", "it rewrites every row in one transaction"),
    ("rewrite", r"\bALTER COLUMN \S+ (SET DATA )?TYPE\b", "the table may be rewritten while nobody can read it"),
    ("rewrite", r"\bADD COLUMN .*\b(GENERATED ALWAYS AS|BIGSERIAL|SERIAL|SMALLSERIAL)\b", "the table is rewritten"),
    ("rewrite", r"\bADD COLUMN .*\bDEFAULT (?!now\(\)|current_\w+)[a-z_.]+\(", "a volatile default rewrites it"),
    ("rewrite", r"^(VACUUM FULL|CLUSTER|REINDEX(?! .*CONCURRENTLY))\b", "it is rewritten, and nobody can read it"),
    ("lock", r"^CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)", "nobody can write meanwhile"),
    ("lock", r"^DROP INDEX (?!CONCURRENTLY)", "it waits for every query, and every query waits for it"),
    ("lock", r"\bADD (CONSTRAINT \S+ )?(CHECK|FOREIGN KEY)\b(?!.*\bNOT VALID\b)", "every row is checked under a lock"),
    ("lock", r"\bADD COLUMN .*\bREFERENCES\b", "both tables are locked"),
    ("lock", r"\bADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*\bUSING INDEX\b)", "an index under lock"),
    ("lock", r"\bSET NOT NULL\b", "every row is read under a lock"),
    ("lock", r"\bADD COLUMN .*\bNOT NULL\b(?!.*\b(DEFAULT|GENERATED)\b)", "rows are in its way, and old code"),
    ("lock", r"\bRENAME\b", "code that runs at this moment knows the old name"),
    ("lock", r"^LOCK\b", "it is locked until the end of the transaction"),
    ("security", r"\b(DISABLE|NO FORCE) ROW LEVEL SECURITY\b", "tenants are not kept apart any more"),
    ("security", r"\b(DROP|ALTER) POLICY\b", "who sees which rows changes"),
    ("security", r"\b(DISABLE TRIGGER|DROP TRIGGER|session_replication_role)\b", "what it enforced is not enforced"),
    ("security", r"\bSECURITY DEFINER\b", "it runs with its owner's rights, whoever calls it"),
    ("security", r"\b(CREATE|ALTER|DROP) (ROLE|USER|GROUP)\b|\bBYPASSRLS\b|\bSUPERUSER\b", "who may do what changes"),
    ("security", r"^GRANT\b.*\bTO PUBLIC\b|^GRANT ALL\b", "more is granted than anybody needs"),
    ("hidden", r"^(DO|CALL)\b|\bEXECUTE (?!FUNCTION|PROCEDURE|ON)\S", "what it does is decided when it runs"),
)  # fmt: skip
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE), why) for kind, pattern, why in _PATTERNS)
_CREATED = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?([\w.\"]+)", re.IGNORECASE)
_TOUCHED = re.compile(
    r"^(?:ALTER TABLE (?:IF EXISTS )?(?:ONLY )?|CREATE (?:UNIQUE )?INDEX .*? ON (?:ONLY )?)([\w.\"]+)", re.IGNORECASE
)
_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|(?P<text>[eE]?'(?:[^'\\]|''|\\.)*')|(?P<end>;)",
    re.DOTALL,
)


def risks(sql: str) -> list[Risk]:
    """What to look at in some SQL. A lock on a table that the same SQL creates harms nobody and is left out."""
    found: list[Risk] = []
    created: set[str] = set()
    for statement in statements(sql):
        if new := _CREATED.match(statement):
            created.add(new[1])
        touched = _TOUCHED.match(statement)
        harmless = touched is not None and touched[1] in created
        for kind, pattern, why in _COMPILED:
            if pattern.search(statement) and not (harmless and kind in ("lock", "rewrite")):
                risk = Risk(kind=kind, statement=statement[:_SHOWN], why=why)
                if risk not in found:
                    found.append(risk)
    return found


def statements(sql: str) -> Iterator[str]:
    """One statement after the other, without comments, with texts emptied and white space as single blanks.

    The body of a DO block is kept: it runs.
    """
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(sql):
        parts.append(sql[end : token.start()])
        end = token.end()
        if token["dollar"]:
            starts = " ".join("".join(parts).split()).upper()
            parts.append(f" {token['dollar']} " if starts.startswith("DO") else " $$ ")
        elif token["text"]:
            parts.append("''")
        elif token["end"]:
            yield from _whole(parts)
            parts = []
        else:
            parts.append(" ")
    yield from _whole([*parts, sql[end:]])


def _whole(parts: list[str]) -> Iterator[str]:
    if text := " ".join("".join(parts).split()):
        yield text
