"""What the database instrument says when PostgreSQL cannot do what a rehearsal needs."""

from collections.abc import Sequence

import psycopg

from holdtrue.contract.errors import HoldtrueError


class DatabaseError(HoldtrueError):
    """The database instrument cannot go on: what was seen, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, do=hint)


# https://www.postgresql.org/docs/current/errcodes-appendix.html
_KNOWN = {
    "53100": (
        "the disk is full",
        "Free space, or give the check another directory: every scenario needs a copy of the app's database.",
    ),
    "53200": ("PostgreSQL is out of memory", "Run fewer scenarios side by side."),
    "53300": ("PostgreSQL has no connection left", "Lower the app's pool size, or run fewer stages side by side."),
    "53400": (
        "a limit of the server's configuration is reached",
        "Raise it on the server, or use the embedded PostgreSQL.",
    ),
    "54000": ("a limit of PostgreSQL is reached", "Run fewer scenarios side by side."),
    "55006": (
        "the database is in use by another connection",
        "A frozen template admits nobody: stop whatever connected to it before it was frozen.",
    ),
    "55P03": (
        "a lock was not granted in time",
        "A transaction of the app holds a lock on the whole table, such as an ALTER TABLE left open.",
    ),
    "42501": (
        "the role may not do this",
        "The check needs a superuser on the server it was given, or the embedded PostgreSQL.",
    ),
    "58P01": ("a file of the database is missing", "The data directory was removed while the check ran."),
    "58030": ("the disk reports an error", "Look at the machine's disk, then run the check again."),
}


def translate(error: psycopg.Error, doing: str, log: Sequence[str] = ()) -> DatabaseError:
    """PostgreSQL's error as a `DatabaseError` that names what was being done and what to do next."""
    said = (error.diag.message_primary or str(error)).strip()
    what, hint = _KNOWN.get(error.sqlstate or "", ("PostgreSQL refused", "Its own words are the only lead."))
    tail = f" Its log ends: {' | '.join(log)}" if log and not error.sqlstate else ""
    return DatabaseError(f"While {doing}: {what} ({error.sqlstate or 'no connection'}: {said}).{tail}", hint)
