"""The command line. What a command needs is imported when it runs, so that ``--help`` answers at once.

Exit codes: 0 held, 1 broken, 2 wrong usage or configuration, 3 undecided or could not run.
"""

from __future__ import annotations

import re
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from holdtrue import __version__
from holdtrue.cli import gate
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.imports import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable

COULD_NOT_RUN = 3
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_HELP = """Hold an app to its contract by rehearsing production on it, before anything deploys.

\b
First steps:
  holdtrue new NAME            a composed app, ready to run and already held
  holdtrue schema document     what a contract document (holdtrue.toml) may say
  holdtrue describe            what the modules offer: hooks, permissions, events
  holdtrue lock                derive the document of an app composed from modules
  holdtrue check               hold the app in this directory to its document
  holdtrue explain PAY011      what a guarantee means, wrong and right
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    # Plain text: it is read by agents and in logs as often as on a terminal, and costs no import of rich.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


class Published(StrEnum):
    """What has a published schema."""

    DOCUMENT = "document"
    REPORT = "report"


class _CheckCommand(TyperCommand):
    """Lets ``--json`` stand alone; typer's options always take a value or never do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_json_target(args))


def with_json_target(args: list[str]) -> list[str]:
    """Write a bare ``--json`` as ``--json=-``: at the end, before an option, or before the app's directory."""
    end = args.index("--") if "--" in args else len(args)
    following = [*args, "-"][1:]
    return [
        "--json=-" if index < end and arg == "--json" and (after.startswith("-") or Path(after).is_dir()) else arg
        for index, (arg, after) in enumerate(zip(args, following, strict=True))
    ]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdtrue {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


_CHECK_EPILOG = """\b
Examples:
  holdtrue check                                      the app in this directory
  holdtrue check ../shop --place payments             only what concerns payments
  holdtrue check --only PAY011,TEN042 --json          two guarantees; the report as JSON on stdout
  holdtrue check --rules                              in a moment, what the source alone decides
  holdtrue check --only PAY011 --case '*commit*' --seed 7 --verbose
                                                      one proof again, case by case

\b
Exit codes:
  0 held   1 broken   2 wrong usage or configuration   3 undecided or could not run
"""


@app.command(
    epilog="""\b
Example:
  holdtrue new acme && cd acme && holdtrue check
"""
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The app's name, and its directory's.")],
    python: Annotated[str | None, typer.Option(metavar="PATH", help="The interpreter to lock it with.")] = None,
) -> None:
    """Write a composed app: sign-in, tenants, payments, mail, an audit log, and a feature of its own with tests.

    Nothing that exists is overwritten. It is held by `holdtrue check` as it is.
    """
    from holdtrue.cli.new import run

    typer.echo(run(name, Path(), python=python), nl=False)


@app.command(cls=_CheckCommand, epilog=_CHECK_EPILOG)
def check(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The app's directory, with its holdtrue.toml or holdtrue.lock.")
    ] = Path(),
    only: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only this guarantee; repeat it or separate by commas.")
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="Only this place: auth, payments, email, audit, tenancy, releases, core. Repeatable.",
        ),
    ] = None,
    case: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Only cases whose name matches (* and ?), as in a finding.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Repeat a run's random choices; new ones when absent.")
    ] = None,
    stages: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many copies of the app run side by side.")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="Read the app's files only and start nothing; the rest is not looked at.")
    ] = False,
    json: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help="Write the report as JSON: to FILE, else to standard output, and progress to standard error.",
        ),
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as SARIF, for code hosts.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the guarantees as JUnit XML, for CI systems.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report as one page of HTML, with a picture of what happened."),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline", help="Waive for 90 days what this check finds broken; from then on only new ones fail."
        ),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch copy of the app and its logs.")] = False,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="Run the app with this interpreter, which has its requirements.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell every case, and what is not promised.")
    ] = False,
) -> None:
    """Hold an app to its contract document.

    Starts the app as it is in a scratch environment, surrounds it with instruments (a database, a payment provider, a
    mail server), rehearses what production does, and says which guarantees are kept, broken or not run, with proof.
    """
    try:
        with uncollected():
            from holdtrue.cli.check import Request, run
        request = Request(
            directory=directory,
            only=_listed(only),
            places=_listed(place),
            case=case,
            seed=seed,
            stages=stages,
            rules=rules,
            json=json,
            sarif=sarif,
            junit=junit,
            html=html,
            baseline=baseline,
            keep=keep,
            python=python,
            verbose=verbose,
        )
        raise typer.Exit(run(request))
    except KeyboardInterrupt:
        raise HoldtrueError("interrupted; nothing was decided") from None


@app.command(
    epilog="""\b
Kept in .holdtrue/dev between runs: the database, keys, and what the Stripe double knows. Remove it to begin anew.
A .env in the directory is read over what the modules' contracts say; its database is not.
"""
)
def dev(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The composed app's directory.")] = Path(),
    port: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65535, help="The app's port; 8000, or a free one.")
    ] = None,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="The app's interpreter.")] = None,
) -> None:
    """Run a composed app on this machine, with all it needs, until Ctrl-C.

    An embedded PostgreSQL, the migrations, the app and its worker (started again when a file changes), a mailbox page,
    and a double of Stripe whose customer pays when you press a button.
    """
    from holdtrue.cli.extras import needs_extra

    with needs_extra("check"):
        from holdtrue.cli.dev.run import Request
        from holdtrue.cli.dev.run import run as run_dev

    run_dev(Request(directory=directory, port=port, python=python), typer.echo)


@app.command(
    epilog="""\b
Examples:
  holdtrue explain PAY011
  holdtrue explain --list
"""
)
def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A guarantee's code, such as PAY011.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--list", help="Name all guarantees.")] = False,
) -> None:
    """Say what a guarantee means, with wrong and right.

    Tells what production does, why apps break there, what the wrong code looks like and what the right code does.
    """
    from holdtrue.cli.explain import one, overview

    if (code is None) != everything:
        raise UsageError(
            "give a code, or --list, but not both" if everything else "which guarantee?",
            do="Write `holdtrue explain PAY011`, or `holdtrue explain --list` for all codes.",
        )
    typer.echo(overview() if code is None else one(code), nl=False)


@app.command(
    epilog="""\b
Examples:
  holdtrue schema document > holdtrue.schema.json     for an editor that completes holdtrue.toml
  holdtrue schema report                              what `holdtrue check --json` writes
"""
)
def schema(
    of: Annotated[Published, typer.Argument(metavar="SCHEMA", help="document or report", show_default=False)],
) -> None:
    """Print the JSON Schema of the contract document or of the report."""
    import json as _json

    from holdtrue.contract.schema import document_schema, report_schema

    chosen = document_schema() if of is Published.DOCUMENT else report_schema()
    typer.echo(_json.dumps(chosen, indent=2, ensure_ascii=False))


@app.command(
    epilog="""\b
Examples:
  holdtrue lock                                  after a change of routes, tables, permissions, hooks or modules
  holdtrue lock --check                          in CI: does the lock fit?
  holdtrue lock --assembly shop.main:assembly    where pyproject.toml does not say it: [tool.holdtrue] assembly

\b
Exit codes:
  0 written, or fits   1 --check: stale   2 wrong usage, or the app does not compose
"""
)
def lock(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The composed app's directory.")] = Path(),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what is stale.")] = False,
    assembly: Annotated[
        str | None, typer.Option(metavar="MODULE:NAME", help="Where compose(...) put the assembly.")
    ] = None,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="The app's interpreter.")] = None,
) -> None:
    """Pin a composed app: its modules, and the contract document that it derives.

    Imports the app in its own interpreter, without opening anything, and writes holdtrue.lock (versions and digests of
    its modules, and the document that `holdtrue check` holds it to) and an index for agents in AGENTS.md.
    """
    from holdtrue.cli.lock import Request, run

    code, told = run(Request(directory=directory, check=check, assembly=assembly, python=python))
    typer.echo(told, nl=False)
    raise typer.Exit(code)


@app.command(
    epilog="""\b
Examples:
  holdtrue describe                              what is composed here, or installed
  holdtrue describe payments                     a module's contract
  holdtrue describe payments.refund_allowed      a hook, with a binding to begin with
  holdtrue describe payments --json              the same for machines
"""
)
def describe(
    what: Annotated[
        str | None, typer.Argument(metavar="[MODULE[.HOOK]]", help="A module, or a hook, event or job of it.")
    ] = None,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The composed app's directory; elsewhere: what is installed.")
    ] = Path(),
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="The app's interpreter.")] = None,
) -> None:
    """Read a module's contract: its hooks, events, permissions, routes and tables."""
    from holdtrue.cli.describe import run

    typer.echo(run(what, directory, as_json=json, python=python), nl=False)


def _listed(values: list[str] | None) -> tuple[str, ...]:
    return tuple(part.strip() for value in values or () for part in value.split(",") if part.strip())


gate.register(app)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_guarded(lambda: app(prog_name="holdtrue")))


def _guarded(command: Callable[[], object]) -> int:
    """Turn what goes wrong into words and an exit code. Nothing unexpected may look like a verdict."""
    try:
        command()
    except HoldtrueError as error:
        text = f"holdtrue: {error}" if not _is_located(error) else str(error)
        # What an app wrote on its log must not move the cursor of who reads it.
        typer.echo(_CONTROL.sub("�", text), err=True)
        return error.exit_code
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else COULD_NOT_RUN
    except Exception as error:  # noqa: BLE001 - the outermost edge: Python would exit with 1, which means broken
        traceback.print_exc()
        typer.echo(
            f"holdtrue: a fault of holdtrue itself ({type(error).__name__}); nothing was decided.\n"
            "  Please report it with the lines above.",
            err=True,
        )
        return COULD_NOT_RUN
    return 0


def _is_located(error: HoldtrueError) -> bool:
    """Whether the text is a list of places in files, which editors and agents parse from the first column."""
    return hasattr(error, "problems")


if __name__ == "__main__":
    main()
