"""``python -m holdtrue.assembly COMMAND shop.main:assembly``: what a deployment runs besides the ASGI server."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy.exc import DBAPIError

from holdtrue.assembly.compose import Assembly
from holdtrue.assembly.stepping import own_output, serve
from holdtrue.contract import Job
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.runtime import Fault, logs
from holdtrue.runtime.worker import Worker


def assembly_at(target: str) -> Assembly:
    """Import ``package.module:name``.

    Raises:
        UsageError: it is no assembly.
    """
    module, _, name = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    found = getattr(importlib.import_module(module), name or "assembly", None)
    if not isinstance(found, Assembly):
        raise UsageError(f"{target} is {type(found).__name__} and no Assembly", do="Name what compose(…) returned.")
    return found


def migrate(assembly: Assembly, environ: Mapping[str, str], down: int | None, steps: TextIO | None) -> int:
    """Bring the database up to the code, or down by so many revisions; or step by step, answering on ``steps``."""
    missing = [name for name in ("DATABASE_OWNER_URL", "DATABASE_URL") if not environ.get(name)]
    if missing:
        raise Fault(
            "SETTING_MISSING",
            f"{' and '.join(missing)} not set",
            why="Migrations run as the owner, and grant rights to the role of DATABASE_URL.",
            do="Set both; only a migration is given the owner's.",
        )
    owner, app, worker = environ["DATABASE_OWNER_URL"], environ["DATABASE_URL"], environ.get("WORKER_DATABASE_URL")
    migrations = assembly.migrations
    up = partial(migrations.upgrade, owner, app, worker_url=worker)
    undo = partial(migrations.downgrade, owner, app, worker_url=worker)
    if steps is not None:
        serve(migrations, partial(up, steps=1), partial(undo, steps=1), sys.stdin, steps)
        return 0
    moved = up() if down is None else undo(steps=down)
    sys.stdout.write("".join(f"{'undone' if down else 'applied'} {revision}\n" for revision in moved))
    return 0


async def work(assembly: Assembly, environ: Mapping[str, str], command: str, job: str) -> int:
    """Run a worker until SIGTERM or SIGINT, or do what an operator asks for."""
    logs.configure()
    async with assembly.blueprint.open(environ, role="worker") as process:
        worker = Worker(process)
        if command == "worker":
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, worker.stop)
            await worker.run()
            return 0
        if trouble := await process.health.trouble():
            raise Fault("SCHEMA_NOT_READY", trouble, do="Migrate first: python -m holdtrue.assembly migrate …")
        if command == "enqueue":
            await worker.enqueue(_job(assembly, job))
            return 0
        letters = await worker.letters()
        for letter in letters:
            revived = command == "requeue" and await worker.requeue(letter)
            told = f"{letter.state} {letter.job} {letter.ref.id} tenant={letter.ref.tenant} after {letter.attempts}"
            sys.stdout.write(f"{'requeued ' if revived else ''}{told}: {letter.error}\n")
    return 0


def _job(assembly: Assembly, name: str) -> Job[Any]:
    jobs = {job.name: job for module in assembly.modules for job in module.contract.jobs}
    if name not in jobs:
        raise UsageError(f"there is no job {name!r}", do=f"There are: {', '.join(sorted(jobs)) or 'none'}.")
    if any(each.is_required() for each in jobs[name].payload.model_fields.values()):
        raise UsageError(f"the payload of {name} has fields without default", do="Enqueue it from a flow.")
    return jobs[name]


def main() -> int:
    """Parse, run, and say what went wrong in words."""
    parser = argparse.ArgumentParser(prog="python -m holdtrue.assembly")
    parser.add_argument("command", choices=["migrate", "worker", "dead", "requeue", "enqueue", "document"])
    parser.add_argument("target", help="where compose(…) put the assembly: shop.main:assembly")
    parser.add_argument("job", nargs="?", default="", help="enqueue: a job whose payload has defaults")
    parser.add_argument("--down", type=int, metavar="N", help="migrate: undo the newest N revisions")
    parser.add_argument("--steps", action="store_true", help="migrate: one step for each line of standard input")
    options = parser.parse_args()
    answers = own_output() if options.steps else None
    try:
        assembly = assembly_at(options.target)
        if options.command == "migrate":
            return migrate(assembly, os.environ, options.down, answers)
        if options.command == "document":
            told = assembly.document(options.target).model_dump(mode="json", by_alias=True, exclude_defaults=True)
            sys.stdout.write(f"{json.dumps({'schema': 1} | told, indent=2)}\n")
            return 0
        return asyncio.run(work(assembly, os.environ, options.command, options.job))
    except HoldtrueError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except (DBAPIError, OSError) as error:
        sys.stderr.write(f"DATABASE_SILENT: the database does not answer: {type(error).__name__}\n")
        return 3


if __name__ == "__main__":
    raise SystemExit(main())
