"""Where a database stands among the revisions of the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdtrue.gate.errors import GateRefusal
from holdtrue.gate.state import Revision, State

if TYPE_CHECKING:
    from psycopg import AsyncConnection

ALEMBIC = "alembic_version"


async def applied(connection: AsyncConnection[Any], state: State) -> list[str]:
    """The revisions that the database has, in order; empty for an app whose tool cannot be asked.

    Raises:
        GateRefusal: DATABASE_AHEAD, it has one that the code does not have.
    """
    from psycopg import sql

    if not state.revisions:
        return []
    row = await (await connection.execute("SELECT to_regclass(%s)::oid", [ALEMBIC])).fetchone()
    if row is None or row[0] is None:
        return []
    rows = await connection.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(ALEMBIC)))
    versions = {version for (version,) in await rows.fetchall()}
    known = {each.revision: each for each in state.revisions}
    strangers = sorted(versions - known.keys())
    if strangers:
        raise GateRefusal(
            "DATABASE_AHEAD",
            f"the database is at {', '.join(strangers)}, which this release does not have",
            why="A newer release, or somebody past the gate, has migrated it: this code is behind.",
            do="Deploy the release that has these revisions.",
        )
    found = _closure(versions, known)
    return [each.revision for each in state.revisions if each.revision in found]


def _closure(versions: set[str], known: dict[str, Revision]) -> set[str]:
    found: set[str] = set()
    waiting = list(versions)
    while waiting:
        revision = waiting.pop()
        if revision not in found and revision in known:
            found.add(revision)
            waiting += known[revision].after
    return found


def refuse_elsewhere(have: list[str], before: State | None, state: State, begun: State | None) -> None:
    """Refuse a database that is not between what was last applied and what is to be.

    ``begun``: the release whose apply was begun and did not end; its revisions may be there, if they are ours as well.

    Raises:
        GateRefusal: DATABASE_BEHIND, DATABASE_AHEAD or MIGRATION_EDITED.
    """
    settled = [each.revision for each in before.revisions] if before else []
    if lacking := [revision for revision in settled if revision not in have]:
        raise GateRefusal(
            "DATABASE_BEHIND",
            f"the database lacks {', '.join(lacking)}, which the gate's ledger says was applied",
            why="It was migrated down, or restored from before: other data may be missing as well.",
            do="Find out what happened to it. Restored on purpose: bring it to that state by hand first.",
        )
    beyond = [revision for revision in have if revision not in settled]
    if not beyond or (before is None and begun is None):
        return
    if begun is None:
        raise GateRefusal(
            "DATABASE_AHEAD",
            f"the database has {', '.join(beyond)}, and no apply was begun that would have brought it",
            why="Somebody has migrated it past the gate.",
            do="Find out who has the owner's credentials. Undo the migration, then apply again.",
        )
    was = {each.revision: each.digest for each in begun.revisions}
    now = {each.revision: each.digest for each in state.revisions}
    if edited := [revision for revision in beyond if was.get(revision, now[revision]) != now[revision]]:
        raise GateRefusal(
            "MIGRATION_EDITED",
            f"{', '.join(edited)} was applied by an apply that did not end, and was edited since",
            why="The database has what it said then.",
            do="Restore the file, and write a new migration.",
        )
