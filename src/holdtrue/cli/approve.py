"""``holdtrue approve``: shows a plan, and signs its digest."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from holdtrue.gate import admission, ssh
from holdtrue.gate import plan as plans
from holdtrue.gate.wording import words


def run(file: Path, app: Path | None, key: Path | None) -> str:
    """Write the signature beside the plan; return what to print.

    Raises:
        GateRefusal: the plan is stale, or the signature would not count.
    """
    plan = plans.read_plan(file)
    today = datetime.now(UTC).date()
    signature, signer = asyncio.run(admission.approve(plan, app or file.parent, key or ssh.default_key(), today))
    out = file.with_name(f"{file.stem}.{ssh.file_name(signer.key)}.sig")
    out.write_text(signature, encoding="utf-8")
    return f"{words(plan)}\nApproved by {signer}: {out}\n"
