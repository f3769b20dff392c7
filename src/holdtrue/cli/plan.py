"""``holdtrue plan``: draws a plan, writes it, and says it in words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdtrue.contract.errors import UsageError
from holdtrue.gate import files, state
from holdtrue.gate import plan as plans
from holdtrue.gate.admission import Admission, read_sealed
from holdtrue.gate.wording import words


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    directory: Path
    base: Path | None
    first: bool
    signers: str
    days: int
    out: Path | None
    python: str | None


def run(request: Request) -> str:
    """Write the plan; return what to print.

    Raises:
        UsageError: wrong usage.
        HoldtrueError: the app's interpreter cannot tell its migrations.
        GateRefusal: what was admitted before was rewritten.
    """
    admission = _base(request)
    before = admission.plan.state if admission else None
    known = [each.revision for each in before.revisions] if before else []
    told = asyncio.run(state.ask(request.directory, known=known, python=request.python))
    plan = plans.draw(
        request.directory,
        request.signers,
        told,
        base=admission.digest if admission else None,
        before=before,
        until=datetime.now(UTC).date() + timedelta(days=request.days),
    )
    out = request.out or request.directory / files.PLAN
    plans.write(out, "plan", plan.as_json(), plan.digest)
    then = f"holdtrue approve {out}" if plan.needs else f"holdtrue admit {out}"
    return f"{words(plan)}\nWritten to {out}. Next: {then}\n"


def _base(request: Request) -> Admission | None:
    file = request.base or request.directory / files.ADMISSION
    if request.first:
        if request.base is not None:
            raise UsageError("--first and --base contradict each other", do="Give one of them.")
        return None
    if request.base is None and not file.exists():
        raise UsageError(
            f"there is no {files.ADMISSION} to plan from",
            where=str(request.directory),
            why="What changes is told against what is deployed.",
            do="Fetch it (holdtrue apply --last deployed.json) and give it (--base deployed.json); "
            "if nothing is deployed yet: --first",
        )
    return read_sealed(file).admission
