"""The gate's commands, and what each may be told. What they do is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_App = Annotated[
    Path | None, typer.Option("--app", metavar="DIR", help="The app's directory; that of the file when absent.")
]
_Key = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="An SSH key, or the public half of one in an agent; ~/.ssh/id_ed25519 when absent."
    ),
]
_Python = Annotated[str | None, typer.Option(metavar="PATH", help="The app's interpreter, which has its requirements.")]
_Database = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The variable with the database's URL, where the document does not tell."),
]
_Plan = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan's file.")]


def plan(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The app's directory.")] = Path(),
    base: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The admission that is deployed; DIR/holdtrue.admission.json when absent."),
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="Nothing is deployed yet: plan from nothing.")] = False,
    signers: Annotated[
        str, typer.Option(metavar="FILE", help="Who may approve: a file below DIR.")
    ] = "allowed_signers",
    days: Annotated[int, typer.Option(metavar="N", min=1, max=90, help="For how many days it may be used.")] = 14,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it is written; DIR/holdtrue.plan.json when absent.")
    ] = None,
    python: _Python = None,
) -> None:
    """Say what would be deployed against what was last admitted, and which approvals that needs.

    Compares permissions, routes, tables, hooks, side effects and waivers; renders the SQL of pending migrations with
    what it may cost; takes digests of everything. Runs the app's migrations offline, in the app's own interpreter.
    """
    from holdtrue.cli.plan import Request, run

    request = Request(directory=directory, base=base, first=first, signers=signers, days=days, out=out, python=python)
    typer.echo(run(request), nl=False)


def approve(
    plan: _Plan = Path("holdtrue.plan.json"),
    app: _App = None,
    key: _Key = None,
) -> None:
    """Show a plan and sign its digest, once it is found to say what is there.

    Runs nothing of the app. The signature is written beside the plan. It counts if the key is among the signers of the
    release that is deployed now.
    """
    from holdtrue.cli.approve import run

    typer.echo(run(plan, app, key), nl=False)


def admit(
    plan: _Plan = Path("holdtrue.plan.json"),
    app: _App = None,
    key: _Key = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the app now, instead of reading the newest report.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it is written; holdtrue.admission.json beside the plan.")
    ] = None,
    python: _Python = None,
) -> None:
    """Admit a release: the plan is fresh, approved where it must be, and a whole check of this very source held.

    The admission is sealed by a key that may admit.
    """
    from holdtrue.cli.admit import Request, run

    typer.echo(run(Request(plan=plan, app=app, key=key, check=check, out=out, python=python)), nl=False)


def apply(
    admission: Annotated[Path, typer.Argument(metavar="ADMISSION", help="The admission's file.")] = Path(
        "holdtrue.admission.json"
    ),
    app: _App = None,
    wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Wait so long for another apply to end, instead of refusing."),
    ] = 0,
    first_signers: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="At the first apply: the digest of the signers that you vouch for."),
    ] = None,
    last: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only write the admission that was applied last to this file.")
    ] = None,
    database: _Database = None,
    python: _Python = None,
) -> None:
    """Verify an admission once more, migrate the database as its owner, and write that into the gate's ledger.

    The owner's URL is read from the variable that the document names for migrations. An apply that was killed goes on
    where it stands.
    """
    from holdtrue.cli.apply import Request, run

    request = Request(
        admission=admission,
        app=app,
        wait=wait,
        first_signers=first_signers,
        last=last,
        database=database,
        python=python,
    )
    typer.echo(run(request), nl=False)


def ready(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND", help="What to become, such as the app's server.")
    ] = None,
    app: Annotated[Path, typer.Option("--app", metavar="DIR", help="The app's directory.")] = Path(),
    admission: Annotated[
        Path | None, typer.Option(metavar="FILE", help="DIR/holdtrue.admission.json when absent.")
    ] = None,
    database: _Database = None,
) -> None:
    """Become the app's command, if the code here was admitted and its admission is what was applied last.

    `python -I -m holdtrue.gate.ready -- COMMAND` is the same, and heeds no PYTHON variables.
    """
    from holdtrue.cli.ready import run

    run(app, admission, command or [], database)


def register(group: typer.Typer) -> None:
    """Add the gate's commands."""
    for command in (plan, approve, admit, apply, ready):
        group.command()(command)
