"""The gate's own record in the database: which admissions were applied, when, by which role, and with what result.

Only ever appended to: nobody but the owner's role may insert, nobody may change or remove (by grants, and by a
trigger), and each entry has the hash of the one before it. Who holds the owner's credentials can undo the grants: the
chain then shows a changed or missing entry, but not that the newest were cut off. Approvals do not rest on the ledger;
they are signatures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdtrue.gate import admission as admissions
from holdtrue.gate.admission import Admission
from holdtrue.gate.canonical import canonical, digest_bytes, same
from holdtrue.gate.errors import GateRefusal

if TYPE_CHECKING:
    from psycopg import AsyncConnection

STARTED, STEP, FAILED, APPLIED = "started", "step", "failed", "applied"
_HASH = """encode(sha256(convert_to(jsonb_build_array(
    entry, extract(epoch FROM at), who, event, admission, detail, previous)::text, 'UTF8')), 'hex')"""
_DDL = (
    """CREATE TABLE holdtrue_gate.ledger (
        entry bigint PRIMARY KEY,
        at timestamptz NOT NULL,
        who text NOT NULL,
        event text NOT NULL CHECK (event IN ('started', 'step', 'failed', 'applied')),
        admission text NOT NULL,
        detail text NOT NULL,
        content text,
        previous text NOT NULL,
        hash text NOT NULL
    )""",
    """CREATE FUNCTION holdtrue_gate.refuse() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
        RAISE EXCEPTION 'the gate''s ledger is only appended to' USING ERRCODE = 'insufficient_privilege';
    END $body$""",
    """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON holdtrue_gate.ledger
        FOR EACH STATEMENT EXECUTE FUNCTION holdtrue_gate.refuse()""",
    "ALTER TABLE holdtrue_gate.ledger ENABLE ALWAYS TRIGGER append_only",
    "REVOKE ALL ON holdtrue_gate.ledger FROM PUBLIC",
    "REVOKE UPDATE, DELETE, TRUNCATE ON holdtrue_gate.ledger FROM CURRENT_USER",
    "REVOKE ALL ON SCHEMA holdtrue_gate FROM PUBLIC",
    "GRANT USAGE ON SCHEMA holdtrue_gate TO PUBLIC",
    "GRANT SELECT (entry, at, event, admission) ON holdtrue_gate.ledger TO PUBLIC",
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the ledger says."""

    applied: str | None
    """The digest of the admission that was applied last."""
    open: str | None
    """The digest of one whose apply was begun and did not end with success."""
    since: str = ""
    """When it was begun."""


class Ledger:
    """The ledger, seen through the owner's connection, while the gate's lock is held."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def prepare(self) -> None:
        """Make it where it is not, and refuse one that somebody else made.

        Raises:
            GateRefusal: LEDGER_FOREIGN.
        """
        owners = await self._owners()
        if not owners:
            async with self._connection.transaction():
                await self._connection.execute("CREATE SCHEMA holdtrue_gate")
                for statement in _DDL:
                    await self._connection.execute(statement)
            owners = await self._owners()
        me = await self._one("SELECT current_user")
        if set(owners) != {me} or len(owners) != 2:
            raise GateRefusal(
                "LEDGER_FOREIGN",
                f"the schema holdtrue_gate belongs to {', '.join(sorted(set(owners)))}, and this is {me}",
                why="Whoever owns the ledger can write whatever they like into it.",
                do="Apply as the role that made it. If it was made by somebody else, find out who.",
            )

    async def _owners(self) -> list[str]:
        rows = await self._connection.execute(
            "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'holdtrue_gate' UNION ALL "
            "SELECT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'holdtrue_gate' AND c.relname = 'ledger' AND c.relkind = 'r'"
        )
        return [row[0] for row in await rows.fetchall()]

    async def standing(self) -> Standing:
        """What was applied last, and what was begun since.

        Raises:
            GateRefusal: LEDGER_EDITED, the chain is broken.
        """
        cursor = await self._connection.execute(
            f"SELECT entry, event, admission, at::text, hash = {_HASH} AND entry = row_number() OVER each "  # noqa: S608
            "AND previous = coalesce(lag(hash) OVER each, '') FROM holdtrue_gate.ledger "
            "WINDOW each AS (ORDER BY entry) ORDER BY entry"
        )
        applied = begun = None
        since = ""
        for entry, event, admission, at, sound in await cursor.fetchall():
            if not sound:
                raise GateRefusal(
                    "LEDGER_EDITED",
                    f"entry {entry} of the gate's ledger is not what was written, or one before it is gone",
                    where="holdtrue_gate.ledger",
                    why="What was deployed cannot be told from it any more.",
                    do="Find out who has the owner's credentials; restore the table from a backup.",
                )
            if event == STARTED:
                begun, since = admission, at
            elif event == APPLIED:
                applied, begun = admission, None
        return Standing(applied=applied, open=begun, since=since)

    async def admission(self, digest: str) -> Admission:
        """An admission as it was begun with.

        Raises:
            GateRefusal: LEDGER_EDITED, it is not the one that its digest was made of.
        """
        content = await self._one(
            "SELECT content FROM holdtrue_gate.ledger WHERE event = 'started' AND admission = %s "
            "ORDER BY entry DESC LIMIT 1",
            digest,
        )
        data = (content or "").encode()
        if not same(digest_bytes(data), digest):
            raise GateRefusal(
                "LEDGER_EDITED",
                f"what the ledger keeps of {digest} is not what was admitted",
                where="holdtrue_gate.ledger",
                do="Find out who has the owner's credentials; restore the table from a backup.",
            )
        return admissions.parse(json.loads(data), "holdtrue_gate.ledger")

    async def append(self, event: str, admission: Admission, detail: str = "") -> None:
        """Write an entry; the first one of an admission has its content."""
        content = canonical(admission.as_json()).decode() if event == STARTED else None
        await self._connection.execute(
            "WITH tip AS (SELECT entry, hash FROM holdtrue_gate.ledger ORDER BY entry DESC LIMIT 1), "  # noqa: S608
            "fresh AS (SELECT coalesce((SELECT entry FROM tip), 0) + 1 AS entry, clock_timestamp() AS at, "
            "session_user::text AS who, %s::text AS event, %s::text AS admission, %s::text AS detail, "
            "%s::text AS content, coalesce((SELECT hash FROM tip), '') AS previous) "
            f"INSERT INTO holdtrue_gate.ledger SELECT *, {_HASH} FROM fresh",
            (event, admission.digest, detail, content),
        )

    async def _one(self, query: str, *values: object) -> Any:
        row = await (await self._connection.execute(query.encode(), values or None)).fetchone()
        return row[0] if row else None
