"""Connections of the gate: to the database that the app's own environment names, and to no other."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from holdtrue.contract.document import Document
from holdtrue.contract.errors import UsageError
from holdtrue.gate.errors import GateRefusal

if TYPE_CHECKING:
    from psycopg import AsyncConnection

MIGRATION_NAME = "holdtrue-migration"
"""What a migration's sessions are called, where its driver heeds PGAPPNAME."""
_KEPT = re.compile(r"PG(PASSWORD|PASSFILE|SSL\w+|REQUIRESSL|CHANNELBINDING)")
"""Credentials and certificates may come from the environment; where a connection leads may not."""


def url_of(document: Document, environ: Mapping[str, str], *, owner: bool, named: str | None = None) -> str:
    """The URL of the owner's or the app's role, from the variable in which the app itself expects it.

    Raises:
        UsageError: it is not known which variable that is, or it is not set.
    """
    process = document.process
    told = {**process.env, **process.migrate_env} if owner else process.env
    wanted = ("{postgres_owner_url}", "{postgres_url}") if owner else ("{postgres_url}", "{postgres_owner_url}")
    found = [name for placeholder in wanted for name, text in told.items() if text.strip() == placeholder]
    variable = named or next(iter(found), None)
    role = "owner" if owner else "app"
    if variable is None:
        raise UsageError(
            f"the document does not say which variable holds the URL of the {role}'s role",
            why="The gate's ledger is kept in the database that the app uses.",
            do="Name the variable: --database DATABASE_URL",
        )
    url = environ.get(variable, "")
    if not _names_a_database(url):
        raise UsageError(
            f"{variable} is {'no postgresql:// URL with host and database' if url else 'not set'}",
            do=f"Set it to the URL of the {role}'s role.",
        )
    return re.sub(r"^\w+(\+\w+)?://", "postgresql://", url)


def _names_a_database(url: str) -> bool:
    """Whether a URL leaves neither host nor database to the environment; the host may be a socket's folder."""
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host")
    return bool(re.fullmatch(r"postgres(ql)?(\+\w+)?", parts.scheme) and host and parts.path.strip("/"))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection, each statement a transaction of its own.

    Raises:
        GateRefusal: NO_DATABASE, it cannot be reached.
    """
    import psycopg

    try:
        with _plain_environment():
            connection = await psycopg.AsyncConnection.connect(
                url, autocommit=True, application_name="holdtrue-gate", connect_timeout=15
            )
    except psycopg.OperationalError as error:
        raise GateRefusal(
            "NO_DATABASE",
            f"the database cannot be reached: {' '.join(str(error).split())}",
            do="Start it, or mend its URL.",
        ) from None
    async with connection:
        yield connection


@contextmanager
def _plain_environment() -> Iterator[None]:
    """Without the variables by which libpq would connect elsewhere or start with other settings than the URL says."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith("PG") and not _KEPT.fullmatch(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
