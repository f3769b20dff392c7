"""Puts a development run together, and takes it apart."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from urllib.parse import urlsplit

from holdtrue.check import composed
from holdtrue.cli.dev.database import OWNER, RUNTIME, database
from holdtrue.cli.dev.pages import Pages
from holdtrue.cli.dev.processes import Crew
from holdtrue.cli.dev.state import Kept
from holdtrue.cli.dev.webhooks import Courier
from holdtrue.contract.document import Document
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.project import PROJECT_NAME, read_project
from holdtrue.contract.template import render
from holdtrue.stage.http import HttpServer
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import Clock, StripeDouble
from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.process.ports import free_port, is_taken
from holdtrue.stage.process.safety import refuse_live_secrets

APP_PORT, PAGE_PORT = 8000, 8025
_INHERITED = re.compile(r"PATH|PYTHONPATH|HOME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TMPDIR|VIRTUAL_ENV")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    directory: Path
    port: int | None = None
    python: str | None = None


def run(request: Request, tell: Tell) -> None:
    """Run until Ctrl-C.

    Raises:
        UsageError: the app is not composed, does not compose, or is run here already.
        HoldtrueError: something did not start.
    """
    try:
        asyncio.run(develop(request, tell))
    except asyncio.CancelledError:
        tell("ended; nothing is left running")


async def develop(request: Request, tell: Tell) -> None:
    """Run until SIGINT or SIGTERM cancels; nothing that was started is left then."""
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with Kept.of(request.directory) as kept:
        async with AsyncExitStack() as stack:
            await _run(request, kept, stack, tell)


async def _run(request: Request, kept: Kept, stack: AsyncExitStack, tell: Tell) -> None:
    document, python = await _composed(request)
    port = _port(request.port or APP_PORT, tell)
    tell("starting PostgreSQL")
    running = await stack.enter_async_context(database(kept.directory, kept.logs))
    mail = await stack.enter_async_context(MailServer())
    stripe = await stack.enter_async_context(_stripe(kept, tell)) if document.webhooks else None
    urls = {"postgres_url": running.url(RUNTIME), "postgres_owner_url": running.url(OWNER)}
    env, migrate_env = environment(document, kept, urls, mail, stripe, port, request.directory)
    crew = Crew(
        directory=request.directory,
        python=python,
        process=document.process,
        command=lambda text: [render(word, {"python": python, "port": str(port)}) for word in shlex.split(text)],
        env=env,
        migrate_env=migrate_env,
        port=port,
        logs=kept.logs,
        tell=tell,
    )
    app = f"http://127.0.0.1:{port}"
    pages = Pages(mail, stripe, app, lambda: kept.save(stripe) if stripe else None)
    page = await stack.enter_async_context(_page(pages, tell))
    stack.push_async_callback(crew.stop)
    if not await crew.migrate():
        raise HoldtrueError(
            "the migrations failed", where=str(kept.logs / "migrate.log"), do="Mend them, then run again."
        )
    await crew.start()
    tell(f"mails{' and Stripe' if stripe else ''}: {page}   (Ctrl-C ends everything)")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crew.attend())
        if stripe is not None:
            tasks.create_task(Courier(stripe, f"{app}{_webhook(document)}", tell).run())


async def _composed(request: Request) -> tuple[Document, str]:
    project = read_project(request.directory)
    if project.assembly is None:
        raise UsageError(
            "this is no composed app",
            where=f"{request.directory / PROJECT_NAME}, [tool.holdtrue] assembly",
            do="Run it in the directory of one; `holdtrue new NAME` makes one.",
        )
    python = composed.interpreter(request.directory, project, request.python)
    derived = await composed.derive(request.directory, project.assembly, python)
    return derived.lock.document, python


def _webhook(document: Document) -> str:
    return next(iter(document.webhooks.values())).route.partition(" ")[2]


def _port(wanted: int, tell: Tell) -> int:
    if not is_taken(wanted):
        return wanted
    chosen = free_port()
    tell(f"port {wanted} is in use; the app gets {chosen}")
    return chosen


@asynccontextmanager
async def _page(pages: Pages, tell: Tell) -> AsyncIterator[str]:
    server = HttpServer(pages, port=PAGE_PORT)
    try:
        await server.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        server = HttpServer(pages)
        await server.start()
        tell(f"port {PAGE_PORT} is in use; the pages get {server.port}")
    pages.port = server.port
    try:
        yield server.url
    finally:
        await server.close()


@asynccontextmanager
async def _stripe(kept: Kept, tell: Tell) -> AsyncIterator[StripeDouble]:
    double = StripeDouble(authority=None, seed=kept.root().hex(), clock=Clock(time))
    if words := kept.restore(double):
        tell(words)
    await double.start()
    try:
        yield double
    finally:
        await double.close()
        kept.save(double)


def environment(
    document: Document,
    kept: Kept,
    urls: Mapping[str, str],
    mail: MailServer,
    stripe: StripeDouble | None,
    port: int,
    directory: Path,
) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of the app's processes, and what its migrations have besides.

    What the contracts say for a rehearsal, with addresses of the development run; over it, the app's own ``.env``.

    Raises:
        UnsafeToStartError: a live key is in it.
    """
    instruments = Instruments(
        wire_port=0,
        wire_password="",
        owner=OWNER,
        runtime=RUNTIME,
        stripe_url=stripe.url if stripe else "",
        stripe_key=stripe.secret_key if stripe else "",
        stripe_webhook_secret=stripe.webhook_secret if stripe else "",
        smtp_port=mail.port,
        secret_root=kept.root(),
    )
    told = instruments.environment(document.process.env, urls)
    told = {name: _here(value, port) for name, value in told.items()}
    if stripe is not None and "PAYMENTS_STRIPE_API_KEY" in told:
        told["PAYMENTS_STRIPE_API_BASE"] = stripe.url
    told |= {name: value for name, value in _own(directory / ".env").items() if name not in _OURS}
    refuse_live_secrets(told, parent={})
    inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    return inherited | {"PYTHONUNBUFFERED": "1"} | told, instruments.environment(document.process.migrate_env, urls)


_OURS = frozenset({"DATABASE_URL", "DATABASE_OWNER_URL", "WORKER_DATABASE_URL"})
"""A development run uses its own database, whatever ``.env`` says: it may name one that matters."""


def _here(value: str, port: int) -> str:
    """An address that stands for the app in rehearsals (``https://….test/path``), as the run has it."""
    parts = urlsplit(value)
    if parts.scheme != "https" or not (parts.hostname or "").endswith(".test"):
        return value
    return value.replace(f"{parts.scheme}://{parts.netloc}", f"http://127.0.0.1:{port}", 1)


def _own(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    lines = [found for line in file.read_text(encoding="utf-8").splitlines() if (found := _LINE.fullmatch(line))]
    return {found[1]: found[2].strip("'\"") for found in lines if found[2]}
