"""What an error page tells of the inside: the database's own words, and where the code broke."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from holdtrue.stage import Stage
from holdtrue.stage.client import Answer

SYSTEM = "('pg_catalog', 'information_schema', 'pg_toast')"
_DATABASE = re.compile(
    r"violates (?:unique|foreign key|check|not-null|exclusion) constraint"
    r"|null value in column|value too long for type|invalid input syntax for type"
    r"|violates row-level security policy"
    r"|\bSQLSTATE\b|psycopg\.errors\.|\(psycopg2?\.|asyncpg\.exceptions\.|sqlalche\.me/e/",
    re.IGNORECASE,
)
"""PostgreSQL's messages (errcodes, class 23 and 22) and what the usual drivers put around them."""
_TRACEBACK = re.compile(
    r'Traceback \(most recent call last\)|File "[^"\n]+\.py", line \d+|\bat [^\n]{1,80}\(?/[^\n]+\.[cm]?[jt]s:\d+:\d+'
)
_STATEMENT = (
    r"\b(?:INSERT\s+INTO\s+{table}\s*\(|DELETE\s+FROM\s+{table}\s+WHERE\b|UPDATE\s+{table}\s+SET\b"
    r"|SELECT\b.{{1,2000}}?\bFROM\s+{table}\s+(?:AS\b|WHERE\b|(?:INNER |LEFT )?JOIN\b|ORDER\s+BY\b|LIMIT\b))"
)
_TABLE = r"(?:[\w\"]+\.)?\W{{0,2}}(?:{names})\W{{0,2}}"
"""As statements write it, quoted and escaped for JSON, or neither."""

_NAMES = f"""
SELECT k.conname FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname NOT IN {SYSTEM}
UNION SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('i', 'I') AND n.nspname NOT IN {SYSTEM}
"""  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """Knows the app's own words for its tables and keys."""

    names: frozenset[str]
    """Of constraints and indexes; only those that nothing else is called, and no person would write in a sentence."""
    statement: re.Pattern[str]

    @classmethod
    async def of(cls, stage: Stage) -> Leaks:
        """From the database behind the stage; its schema is the same in every case."""
        async with await stage.setting.cluster.admin(stage.database) as connection:
            names = {str(name) for (name,) in await (await connection.execute(_NAMES.encode())).fetchall()}
        tables = stage.scene.catalog.stored
        return cls.knowing({table.name for table in tables}, names, {c.name for table in tables for c in table.columns})

    @classmethod
    def knowing(cls, tables: Collection[str], names: Collection[str], columns: Collection[str]) -> Leaks:
        """From the names of tables, of constraints and indexes, and of columns."""
        table = _TABLE.format(names="|".join(re.escape(name) for name in sorted(tables)) or "(?!)")
        return cls(
            names=frozenset(name for name in names if "_" in name) - {*tables, *columns},
            statement=re.compile(_STATEMENT.format(table=table), re.IGNORECASE | re.DOTALL),
        )

    def told(self, answer: Answer) -> str | None:
        """Say what a refusal or an error quotes of the inside, or None."""
        if answer.admitted:
            return None
        text = answer.text
        for what, pattern in (
            ("the code's own traceback", _TRACEBACK),
            ("the text of a statement", self.statement),
            ("the database's own message", _DATABASE),
        ):
            if found := pattern.search(text):
                return f"it was answered {answer.describe()} with {what} (`{_around(text, found)}`)"
        words = set(re.findall(r"\w+", text))
        if named := sorted(self.names & words):
            return f"it was answered {answer.describe()} with the name of a constraint (`{named[0]}`)"
        return None


def _around(text: str, found: re.Match[str]) -> str:
    return re.sub(r"\s+", " ", text[found.start() : found.start() + 100]).strip()
