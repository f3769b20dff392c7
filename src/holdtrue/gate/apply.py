"""``holdtrue apply``: verifies an admission once more, migrates the database one step at a time, and writes it down."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdtrue.contract.document import Document
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.template import render
from holdtrue.gate import admission as admissions
from holdtrue.gate import plan as plans
from holdtrue.gate import position
from holdtrue.gate.admission import Admission, Sealed
from holdtrue.gate.canonical import digest, same
from holdtrue.gate.changes import changes
from holdtrue.gate.database import MIGRATION_NAME, connected, url_of
from holdtrue.gate.errors import GateRefusal
from holdtrue.gate.ledger import APPLIED, FAILED, STARTED, STEP, Ledger, Standing
from holdtrue.gate.state import State, interpreter

if TYPE_CHECKING:
    from psycopg import AsyncConnection

LOCK = 0x686F6C6467617465  # "holdgate"
_LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to apply, and with what."""

    directory: Path
    sealed: Sealed
    today: date
    environ: Mapping[str, str]
    database: str | None = None
    """The variable with the owner's URL, where the document does not tell."""
    python: str | None = None
    wait: float = 0
    """Seconds to wait for another apply to end."""
    first_signers: str | None = None
    """The digest of the signers that count when nothing was applied here yet."""
    tell: Callable[[str], None]


async def apply(order: Order) -> None:
    """Bring the database to an admitted release.

    Raises:
        GateRefusal: the admission, the code or the database is not what it must be, or another apply is under way.
        HoldtrueError: a migration failed.
    """
    admission = order.sealed.admission
    plans.refuse_stale(admission.plan, plans.redraw(admission.plan, order.directory), order.today)
    document = admission.plan.state.parsed
    url = url_of(document, order.environ, owner=True, named=order.database)
    async with connected(url) as connection, _locked(connection, order.wait):
        ledger = Ledger(connection)
        await ledger.prepare()
        await _apply(order, document, connection, ledger)


async def last_applied(document: Document, environ: Mapping[str, str], database: str | None) -> Admission | None:
    """The admission that was applied last; None when none was."""
    url = url_of(document, environ, owner=True, named=database)
    async with connected(url) as connection, _locked(connection, 0):
        ledger = Ledger(connection)
        await ledger.prepare()
        applied = (await ledger.standing()).applied
        return None if applied is None else await ledger.admission(applied)


async def _apply(order: Order, document: Document, connection: AsyncConnection[Any], ledger: Ledger) -> None:
    admission = order.sealed.admission
    state = admission.plan.state
    standing = await ledger.standing()
    have = await position.applied(connection, state)
    if standing.applied is not None and same(standing.applied, admission.digest):
        position.refuse_elsewhere(have, state, state, None)
        order.tell(f"applied before, nothing to do: {admission.digest}")
        return
    before = await ledger.admission(standing.applied) if standing.applied else None
    begun = await ledger.admission(standing.open) if standing.open else None
    names = await _verified(order, standing, before)
    position.refuse_elsewhere(have, _state(before), state, _state(begun))
    await _refuse_beside(connection)
    _tell_standing(order, standing, have, state)
    await ledger.append(STARTED, admission, names)
    await _migrate(order, document, connection, ledger, have)
    await ledger.append(APPLIED, admission)
    order.tell(f"applied {admission.digest}")


def _state(admission: Admission | None) -> State | None:
    return admission.plan.state if admission else None


async def _verified(order: Order, standing: Standing, before: Admission | None) -> str:
    """Verify everything once more, by what the ledger says and not by what the papers say. Returns who approved."""
    plan = order.sealed.admission.plan
    if plan.base != standing.applied:
        raise GateRefusal(
            "BASE_DIFFERS",
            f"this release was planned from {plan.base or 'nothing'}, and what was applied here last is "
            f"{standing.applied or 'nothing'}",
            why="What changed, and who may approve it, was worked out against something else.",
            do="Plan again from what is deployed: holdtrue apply --last deployed.json, "
            "holdtrue plan --base deployed.json",
        )
    trusted = before.plan.state if before else None
    if plan.changes != changes(trusted, plan.state):
        raise GateRefusal(
            "BASE_DIFFERS",
            "the plan lists other changes than there are to what was applied here last",
            why="Its copy of what was applied before was edited.",
            do="Plan again.",
        )
    signers = trusted.signers if trusted else _pinned(order, plan.state)
    approved = await admissions.refuse_unapproved(plan, order.sealed.admission.approvals, signers)
    sealer = await admissions.refuse_unsealed(order.sealed, signers)
    return f"approved by {', '.join(map(str, approved)) or 'nobody, as nothing needed it'}; admitted by {sealer}"


def _pinned(order: Order, state: State) -> str:
    """The signers of the first release: nothing here vouches for them but whoever runs the first apply."""
    actual = digest(state.signers)
    if order.first_signers is None or not same(order.first_signers, actual):
        raise GateRefusal(
            "SIGNERS_UNKNOWN",
            "nothing was applied here yet, so nothing says whose approval counts",
            where=state.signers_file,
            why="An admission vouches for its own signers at the first time only, and only if you say so.",
            do=f"Look at {state.signers_file}. If these people may approve: --first-signers {actual}",
        )
    return state.signers


def _tell_standing(order: Order, standing: Standing, have: list[str], state: State) -> None:
    if standing.open is None:
        return
    whose = "this admission" if standing.open == order.sealed.admission.digest else f"the admission {standing.open}"
    missing = [each.revision for each in state.revisions if each.revision not in have]
    order.tell(
        f"an apply of {whose} was begun at {standing.since} and did not end. The database has "
        f"{', '.join(have) or 'no revision'}; going on with {', '.join(missing) or 'nothing'}."
    )


# -- lock -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _locked(connection: AsyncConnection[Any], wait: float) -> AsyncIterator[None]:
    """Hold the gate's lock: of the session, so that it dies with it and outlives each transaction."""
    from psycopg import errors

    if wait > 0:
        await connection.execute(f"SET lock_timeout = {int(wait * 1000)}".encode())
        try:
            await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            got = True
        except errors.LockNotAvailable:
            got = False
        await connection.execute("RESET lock_timeout")
    else:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])).fetchone()
        got = bool(row and row[0])
    if not got:
        raise GateRefusal(
            "APPLY_UNDER_WAY",
            f"another apply is at work on this database: {await _holder(connection)}",
            do="Wait for it to end, or let this one wait: --wait 600",
        )
    yield


async def _holder(connection: AsyncConnection[Any]) -> str:
    cursor = await connection.execute(
        "SELECT a.pid, a.usename, coalesce(a.client_addr::text, 'a socket'), a.backend_start::text FROM pg_locks l "
        "JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND l.classid = %s AND l.objid = %s AND a.datname = current_database()",
        [LOCK >> 32, LOCK & 0xFFFFFFFF],
    )
    row = await cursor.fetchone()
    return f"session {row[0]} of {row[1]} from {row[2]}, since {row[3]}" if row else "it has just ended"


async def _refuse_beside(connection: AsyncConnection[Any]) -> None:
    """Refuse while the server still works on a statement of an apply that was killed."""
    cursor = await connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()",
        [MIGRATION_NAME],
    )
    if row := await cursor.fetchone():
        raise GateRefusal(
            "MIGRATION_UNDER_WAY",
            f"the server still works on a migration whose apply is gone (session {row[0]})",
            why="A second migration beside it could do its work twice.",
            do="Wait for it to end, and apply again.",
        )


# -- steps ------------------------------------------------------------------------------------------------------------


async def _migrate(
    order: Order, document: Document, connection: AsyncConnection[Any], ledger: Ledger, have: list[str]
) -> None:
    admission = order.sealed.admission
    state = admission.plan.state
    missing = [each.revision for each in state.revisions if each.revision not in have]
    if state.revisions and not missing:
        return
    for name, command, folder in _steps(order, document, state, missing):
        order.tell(f"migrating: {name}")
        code = await _run(command, folder, order.environ)
        if code != 0:
            await ledger.append(FAILED, admission, f"{name}: exit code {code}")
            raise HoldtrueError(
                f"the migration failed: {name} ended with {code}",
                where=str(folder),
                why=f"The database has {', '.join(await position.applied(connection, state)) or 'no revision'}. "
                "The app was not started.",
                do="Read what it printed above, and mend that. The same admission can be applied again; "
                "a mended migration is a new plan.",
            )
        await ledger.append(STEP, admission, name)
    now = await position.applied(connection, state)
    if lacking := [each.revision for each in state.revisions if each.revision not in now]:
        await ledger.append(FAILED, admission, f"not there: {', '.join(lacking)}")
        raise HoldtrueError(
            f"the migration ended well, and the database lacks {', '.join(lacking)}",
            why="It migrated another database than the gate's, or did nothing.",
            do="Look at which database the migration's settings lead to.",
        )


def _steps(order: Order, document: Document, state: State, missing: list[str]) -> list[tuple[str, list[str], Path]]:
    """Commands, one after the other: a revision each where the tool can do that."""
    python = interpreter(order.directory, document, order.python)
    migrations, folder = document.migrations, order.directory.resolve()
    if migrations is not None and migrations.tool == "alembic" and not state.modules:
        config = folder / migrations.config
        command = [python, "-m", "alembic", "-c", config.name, "upgrade"]
        return [(revision, [*command, revision], config.parent) for revision in missing]
    if document.process.migrate is None:
        return []
    told = document.process.migrate
    words = shlex.split(told) if isinstance(told, str) else told
    return [(" ".join(words), [render(word, {"python": python}) for word in words], folder)]


async def _run(command: list[str], folder: Path, environ: Mapping[str, str]) -> int:
    """Run on a leash: when this process is gone, so is the migration. What it prints goes to standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(_LEASH), *command),
        cwd=folder,
        env={**environ, "PGAPPNAME": MIGRATION_NAME},
        stdin=asyncio.subprocess.PIPE,
        stdout=sys.stderr.fileno(),
    )
    try:
        return await process.wait()
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
