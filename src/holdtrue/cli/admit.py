"""``holdtrue admit``: the last look before a release is deployed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdtrue.contract.errors import HoldtrueError
from holdtrue.gate import admission, files, held, ssh, state
from holdtrue.gate import plan as plans


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    plan: Path
    app: Path | None
    key: Path | None
    check: bool
    out: Path | None
    python: str | None


def run(request: Request) -> str:
    """Write the admission; return what to print.

    Raises:
        GateRefusal: it is not admitted.
        HoldtrueError: the check could not run.
    """
    plan = plans.read_plan(request.plan)
    app = request.app or request.plan.parent
    now = datetime.now(UTC)
    # First what needs neither a check nor the app's interpreter.
    plans.refuse_stale(plan, plans.redraw(plan, app), now.date())
    proof = held.held(_check(app, request.python) if request.check else held.newest(app), plan)
    known = [each.revision for each in plan.before.revisions] if plan.before else []
    told = asyncio.run(state.ask(app, known=known, python=request.python))
    signatures = [
        each.read_text(encoding="utf-8") for each in sorted(request.plan.parent.glob(f"{request.plan.stem}.*.sig"))
    ]
    key = request.key or ssh.default_key()
    sealed = asyncio.run(admission.admit(plan, app, told, signatures, proof, key, now))
    out = request.out or request.plan.with_name(files.ADMISSION)
    sealed.write(out)
    return f"admitted {plan.state.app}: {sealed.admission.digest}\nWritten to {out}. Next: holdtrue apply {out}\n"


def _check(app: Path, python: str | None) -> Path:
    """Run a whole check, and return its run's directory, bound to what was checked."""
    from holdtrue.cli import check

    before, known = state.source_and_document(app), set(held.runs(app))
    check.run(check.Request(directory=app, python=python))
    # Not the newest by name: a name is easily made newer.
    made = set(held.runs(app)) - known
    if len(made) != 1:
        raise HoldtrueError(
            f"{len(made) or 'no'} reports came of this check",
            where=str(app),
            why="It is not known which of them is about this source.",
            do="Let no other check of this app run at the same time, and try again.",
        )
    run = made.pop()
    held.bind(run, before, state.source_and_document(app))
    return run
