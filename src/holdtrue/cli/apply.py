"""``holdtrue apply``: brings a database to an admitted release."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer

from holdtrue.cli.extras import needs_extra
from holdtrue.contract.errors import UsageError
from holdtrue.gate.admission import read_sealed
from holdtrue.gate.plan import write
from holdtrue.gate.state import load


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    admission: Path
    app: Path | None
    wait: float
    first_signers: str | None
    last: Path | None
    database: str | None
    python: str | None


def run(request: Request) -> str:
    """Apply an admission, or write the one that was applied last; return what to print.

    Raises:
        GateRefusal: it is not applied.
        HoldtrueError: a migration failed.
    """
    with needs_extra("app"):
        import psycopg  # noqa: F401 - named here, so that its absence is told in words
    from holdtrue.gate import apply

    app = request.app or request.admission.parent
    if request.last is not None:
        sealed = asyncio.run(apply.last_applied(load(app).document, os.environ, request.database))
        if sealed is None:
            raise UsageError("nothing was applied to this database yet", do="Plan with --first.")
        write(request.last, "admission", sealed.as_json(), sealed.digest)
        return f"Written to {request.last}. Next: holdtrue plan --base {request.last}\n"
    order = apply.Order(
        directory=app,
        sealed=read_sealed(request.admission),
        today=datetime.now(UTC).date(),
        environ=os.environ,
        database=request.database,
        python=request.python,
        wait=request.wait,
        first_signers=request.first_signers,
        tell=lambda text: typer.echo(text, err=True),
    )
    asyncio.run(apply.apply(order))
    return "Next: start the app by holdtrue ready -- COMMAND\n"
