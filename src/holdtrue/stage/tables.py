"""Tables as a document names them, and as the catalog does."""

from __future__ import annotations

from collections.abc import Iterable


def qualified(table: str) -> str:
    """A table's name with its schema; the document may leave ``public`` out."""
    return table if "." in table else f"public.{table}"


def qualified_all(tables: Iterable[str]) -> frozenset[str]:
    """``qualified`` of each."""
    return frozenset(qualified(table) for table in tables)


def listed(tables: Iterable[str]) -> str:
    """Tables for a person to read."""
    return ", ".join(sorted(table.removeprefix("public.") for table in tables))
