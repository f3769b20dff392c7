"""What a statement reaches by the names in it: behind a table stand triggers, rules, policies and references.

Behind a view or a function stands its own text, with other names in it. So a name that is not reached is neither read
nor written; one that is reached may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import psycopg

from holdtrue.stage.database.catalog import SYSTEM_SCHEMAS

_WORD = re.compile(r"[^\W\d][\w$]*")
_UNTOLD = frozenset(("execute", "notify", "pg_notify"))
"""Words with which a text does what it does not say: run another statement, or wake whoever listens."""

# pg_trigger, pg_rewrite, pg_policy, pg_constraint, pg_inherits:
# https://www.postgresql.org/docs/current/catalogs.html
_BEHIND = f"""
SELECT c.relname, concat_ws(' ',
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
    (SELECT string_agg(p.proname, ' ') FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
    (SELECT string_agg(pg_get_ruledef(r.oid), ' ') FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
    (SELECT string_agg(concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)), ' ')
     FROM pg_policy p WHERE p.polrelid = c.oid),
    (SELECT string_agg(pg_get_expr(d.adbin, d.adrelid), ' ') FROM pg_attrdef d WHERE d.adrelid = c.oid),
    (SELECT string_agg(k.conrelid::regclass::text, ' ') FROM pg_constraint k
     WHERE k.contype = 'f' AND k.confrelid = c.oid
       AND (k.confdeltype IN ('n', 'd') OR k.confupdtype NOT IN ('a', 'r'))),
    (SELECT string_agg(concat_ws(' ', i.inhrelid::regclass::text, i.inhparent::regclass::text), ' ') FROM pg_inherits i
     WHERE c.oid IN (i.inhrelid, i.inhparent))), true
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN {SYSTEM_SCHEMAS}
UNION ALL
SELECT p.proname, CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE '' END,
       l.lanname IN ('sql', 'plpgsql') OR p.provolatile = 'i'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN {SYSTEM_SCHEMAS}
"""  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What stands behind each name of the app's schema."""

    behind: Mapping[str, str] = field(default_factory=dict)
    """In lower case, as shapes are: the text that a name stands for, or nothing behind a plain table."""
    opaque: frozenset[str] = frozenset()
    """Functions of which no text tells what they do."""

    def of(self, text: str) -> frozenset[str] | None:
        """Every name that a statement reaches; None where that cannot be told."""
        reached: set[str] = set()
        texts = [text.lower()]
        if texts[0].split()[:1] == ["do"]:
            return None
        while texts:
            found = texts.pop()
            words = _WORD.findall(found)
            names = {word for word in words if word in self.behind}.union(name for name in self._odd if name in found)
            names -= reached
            if not _UNTOLD.isdisjoint(words) or names & self.opaque:
                return None
            reached |= names
            texts += [self.behind[name] for name in names]
        return frozenset(reached)

    @cached_property
    def _odd(self) -> tuple[str, ...]:
        """Names that are no plain words."""
        return tuple(name for name in self.behind if not _WORD.fullmatch(name))


async def reach_of(connection: psycopg.AsyncConnection) -> Reach:
    """What stands behind the names of the connection's database; names of several schemas are taken for one.

    Raises:
        psycopg.Error: the server does not answer.
    """
    behind: dict[str, str] = {}
    opaque: set[str] = set()
    for name, text, told in await (await connection.execute(_BEHIND)).fetchall():
        behind[name.lower()] = f"{behind.get(name.lower(), '')} {text.lower()}".strip()
        if not told:
            opaque.add(name.lower())
    return Reach(behind=behind, opaque=frozenset(opaque))
