"""Words for a reader out of values that may be anything: evidence is what an app said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST_WORDS = 300
_LARGEST = 1e12


def short_sql(sql: str) -> str:
    """The statement in as many words as tell it from others."""
    line = " ".join(sql.split())
    if found := re.match(r"(?i)insert into ([^\s(]+)", line):
        return f"INSERT INTO {found[1]}" + (" ON CONFLICT" if re.search(r"(?i)\bon conflict\b", line) else "")
    if found := re.match(r"(?i)update (?:only )?(\S+) set (.*)", line):
        columns = re.findall(r"(?:^|, )\"?(\w+)\"?\s*=", re.split(r"(?i) where ", found[2])[0])
        return f"UPDATE {found[1]} SET {', '.join(columns)}"  # noqa: S608 - words for a reader
    if found := re.match(r"(?i)delete from (?:only )?([^\s;]+)", line):
        return f"DELETE FROM {found[1]}"  # noqa: S608 - words for a reader
    if found := re.match(r"(?i)select .*?\bfrom ([^\s,;(]+)", line):
        locks = re.search(r"(?i) for (?:no key )?(?:update|share)\b", line)
        return f"SELECT FROM {found[1]}" + (locks[0].upper() if locks else "")
    return line if len(line) <= 80 else f"{line[:79]}…"


def text(value: object) -> str:
    """A text as it is, anything else as JSON, nothing as nothing."""
    return value if isinstance(value, str) else "" if value is None else shown(value)


def shown(value: object) -> str:
    """A text as it is, anything else as a little JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)[:LONGEST_WORDS]


def number(value: object) -> float | None:
    """A number that can be a time, or None."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < _LARGEST:
        return None
    return float(value)


def facts(entry: Mapping[str, Any], *names: str) -> str:
    """The named facts of an entry, those that say something."""
    return "; ".join(f"{name} {shown(entry[name])}" for name in names if entry.get(name))


def event_type(content: str) -> str:
    """The type of the event in a webhook's body, which may be cut short."""
    found = re.search(r'"type":\s*"([a-z_.]+)"\s*}\s*\Z', content) or re.search(
        r'"type":\s*"([a-z_]+\.[a-z_.]+)"', content
    )
    return found[1] if found else ""


def span(seconds: float) -> str:
    """Such as ``10 minutes``."""
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, name = next((unit for unit in units if seconds >= unit[0]), units[-1])
    count = round(seconds / size)
    return f"{count} {name}{'' if count == 1 else 's'}"


def moment(at: float | None) -> str:
    """Such as ``12 ms`` or ``1.25 s`` since the case began."""
    if at is None:
        return ""
    return f"{at * 1000:.0f} ms" if at < 1 else f"{at:.2f} s"
