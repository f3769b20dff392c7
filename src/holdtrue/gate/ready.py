"""``python -I -m holdtrue.gate.ready -- COMMAND …``: becomes the app's command, if what is here may run.

It may if it was admitted, and if that admission is what was applied to the database last.

Needs the base package and psycopg. Nothing in the environment changes what it verifies: it names the database that the
app would use itself, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.gate import files
from holdtrue.gate.admission import Admission, read_sealed
from holdtrue.gate.canonical import same
from holdtrue.gate.database import connected, url_of
from holdtrue.gate.errors import GateRefusal

_MOST_SHOWN = 5


async def refuse_unready(
    directory: Path, admission_file: Path, environ: Mapping[str, str], database: str | None
) -> str:
    """Verify that the code here was admitted, and that this admission is what was applied last. Returns its digest.

    Raises:
        GateRefusal: it is not.
    """
    admission = read_sealed(admission_file).admission
    _refuse_other_code(directory, admission)
    url = url_of(admission.plan.state.parsed, environ, owner=False, named=database)
    async with connected(url) as connection:
        await _refuse_unapplied(connection, admission)
    return admission.digest


def _refuse_other_code(directory: Path, admission: Admission) -> None:
    admitted, here = admission.plan.state.files, files.digests(directory)
    wrong = [
        f"{path} {'is missing' if path not in here else 'was not admitted' if path not in admitted else 'differs'}"
        for path in sorted({**admitted, **here})
        if not same(admitted.get(path, ""), here.get(path, ""))
    ]
    if wrong:
        more = f" and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
        raise GateRefusal(
            "CODE_DIFFERS",
            f"this is not the code that was admitted: {', '.join(wrong[:_MOST_SHOWN])}{more}",
            where=str(directory),
            why="Nobody has held or approved what would run.",
            do="Deploy the directory as it was admitted, or plan, check and admit this one.",
        )


async def _refuse_unapplied(connection: Any, admission: Admission) -> None:
    row = await (
        await connection.execute(
            "SELECT to_regclass('holdtrue_gate.ledger') IS NOT NULL, CASE WHEN to_regclass('holdtrue_gate.ledger') "
            "IS NOT NULL THEN has_table_privilege('holdtrue_gate.ledger', 'INSERT, UPDATE, DELETE, TRUNCATE') END"
        )
    ).fetchone()
    exists, writable = row
    if not exists:
        raise GateRefusal(
            "NOT_APPLIED",
            "nothing was ever applied to this database",
            why="The code could be ahead of its schema.",
            do="Apply the admission first: holdtrue apply",
        )
    if writable:
        raise GateRefusal(
            "LEDGER_WRITABLE",
            "the role that the app connects as may write the gate's ledger",
            why="Whoever gets hold of the app could admit what they like.",
            do="Let the app connect as a role of its own that owns nothing and is no superuser.",
        )
    cursor = await connection.execute("SELECT event, admission FROM holdtrue_gate.ledger ORDER BY entry")
    entries = await cursor.fetchall()
    applied = [digest for event, digest in entries if event == "applied"]
    if applied and same(applied[-1], admission.digest):
        return
    if admission.digest in applied:
        seen, do = f"a newer release was applied since: {applied[-1]}", "Deploy that one."
    elif admission.digest in (digest for _, digest in entries):
        seen, do = "its apply was begun and did not end", "Apply it again: it goes on where it stands."
    else:
        last = applied[-1] if applied else "nothing"
        seen, do = f"it was not applied; what was applied last is {last}", "Apply it first: holdtrue apply"
    raise GateRefusal("NOT_APPLIED", seen, where=admission.digest, why="Code and schema would not fit.", do=do)


def run(directory: Path, admission_file: Path, command: list[str], database: str | None) -> None:
    """Verify, and become the command.

    Raises:
        HoldtrueError: it is refused, or there is no such command.
    """
    digest = asyncio.run(refuse_unready(directory, admission_file, os.environ, database))
    sys.stderr.write(f"holdtrue: ready, admitted as {digest}\n")
    sys.stderr.flush()
    if not command:
        return
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list, no shell: the app takes this process's place
    except OSError as error:
        raise UsageError(f"cannot start {command[0]}: {error.strerror}") from None


def main() -> int:
    """Parse, verify, start; say in words what is wrong."""
    parser = argparse.ArgumentParser(prog="python -I -m holdtrue.gate.ready")
    parser.add_argument("--app", type=Path, default=Path(), help="the app's directory")
    parser.add_argument("--admission", type=Path, help=f"default: {files.ADMISSION} in it")
    parser.add_argument("--database", metavar="NAME", help="the variable with the app's database URL")
    parser.add_argument("command", nargs="*", help="what to start, after --")
    options = parser.parse_args()
    try:
        run(options.app, options.admission or options.app / files.ADMISSION, options.command, options.database)
    except HoldtrueError as error:
        sys.stderr.write(f"holdtrue: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
