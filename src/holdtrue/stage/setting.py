"""What all stages of a check share: the cluster, the app's copy and environment, the migrated schema, the scene."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdtrue.contract.document import Command, Document
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage import process
from holdtrue.stage.crew import web_command
from holdtrue.stage.database import Cluster, Databases, Reach
from holdtrue.stage.evidence import Redactor, keep_logs
from holdtrue.stage.extensions import cluster_with
from holdtrue.stage.habits import Habits
from holdtrue.stage.http.authority import Authority
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import StripeDouble
from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.process.copy import copy_app
from holdtrue.stage.process.environment import prepare_environment
from holdtrue.stage.process.safety import base_environment, refuse_live_keys_in_files, refuse_remote_addresses
from holdtrue.stage.process.tools import base_interpreter
from holdtrue.stage.refusals import machine_refused, refuse_unsafe
from holdtrue.stage.scene import Scene, Twin
from holdtrue.stage.scratch import scratch_directory
from holdtrue.stage.stage import Stage
from holdtrue.stage.tokens.lifetimes import Lifetime
from holdtrue.stage.wire import Identifiers, Statement, Upstream, Wire
from holdtrue.stage.zygotes import Zygotes

if TYPE_CHECKING:
    from holdtrue.stage.migrations import Mover

COMMAND_PATIENCE = 300.0
"""Seconds a migration or a seed command may take."""

EMPTY, BASE, SCENE = "empty", "base", "scene"


@dataclass(kw_only=True)
class Setting:
    """The shared part of a check. Made by ``Setting.prepare``."""

    document: Document
    seed: int
    scratch: Path
    copy: Path
    authority: Authority
    redactor: Redactor
    tell: Callable[[str], None]
    secret_root: bytes
    python: Path = field(init=False)
    """The app's interpreter; the machine's own where it needs nothing installed."""
    tool_path: Mapping[str, str] = field(init=False)
    """What the app's environment adds to PATH and the like."""
    zygotes: Zygotes = field(init=False)
    cluster: Cluster = field(init=False)
    databases: Databases = field(init=False)
    migration_wire: Wire = field(init=False)
    mover: Mover | None = None
    """What takes the migrations one by one, once somebody asked for it."""
    walks: Iterator[int] = field(default_factory=lambda: count(1))
    """Numbers for the databases that migrations are tried on: several may be walked at a time."""
    base: str = ""
    """The database as the migrations leave it, frozen."""
    scene: Scene | None = None
    lifetime: Lifetime | None = None
    """Of the tokens with which the scene was set."""
    reach: Reach = field(default_factory=Reach)
    """What stands behind the names in the app's schema."""
    habits: asyncio.Future[Habits] = field(default_factory=asyncio.Future)
    """What the first stage heard of the idle app; the others have the same app."""
    migrated: asyncio.Event = field(default_factory=asyncio.Event)
    first_is_up: asyncio.Event = field(default_factory=asyncio.Event)
    scene_is_set: asyncio.Event = field(default_factory=asyncio.Event)
    captured: dict[str, Statement] = field(default_factory=dict)
    """Shape → a statement the app sent, over all stages: what its code needs of the schema."""
    reached: set[str] = field(default_factory=set)
    hung: Counter[str] = field(default_factory=Counter)
    """Route → how many requests it let hang, over all stages."""
    identifiers: Identifiers = field(default_factory=Identifiers)
    """Of transactions that the app prepares: the stages share a server."""
    twins: dict[str, Twin] = field(default_factory=dict)
    """Route → what came of calling it as it is meant to be, over all stages."""
    known: dict[object, object] = field(default_factory=dict)
    """What proofs have learned of the app, over all stages, by whoever learned it."""
    notes: set[str] = field(default_factory=set)
    noise: set[str] = field(default_factory=set)
    unmodelled: set[str] = field(default_factory=set)
    egress: set[str] = field(default_factory=set)

    @property
    def logs(self) -> Path:
        """Where processes write. The app's own words may hold secrets: they leave the scratch directory redacted."""
        return self.scratch / "logs"

    @property
    def owner(self) -> str:
        """The role that owns the schema."""
        return "app_owner" if self.document.two_roles else "app"

    @property
    def runtime(self) -> str:
        """The role the app runs as; the owner itself where the document knows but one."""
        return "app_runtime" if self.document.two_roles else "app"

    @classmethod
    @asynccontextmanager
    async def prepare(
        cls,
        document: Document,
        directory: Path,
        *,
        seed: int,
        logs: Path,
        keep: bool,
        python: str | None,
        tell: Callable[[str], None],
    ) -> AsyncIterator[Setting]:
        """Copy the app, build its environment, start PostgreSQL. Everything ends with the context.

        ``logs`` is where the logs are kept in the end.

        Raises:
            HoldtrueError: the app is not safe to start, or cannot be installed.
        """
        refuse_unsafe(document)
        redactor = Redactor()
        async with AsyncExitStack() as stack:
            try:
                scratch = stack.enter_context(scratch_directory(keep=keep))
                stack.callback(keep_logs, scratch / "logs", logs, redactor, tell)
                tell("copying the app")
                copy = (await copy_app(directory, scratch / "app")).path
                await refuse_live_keys_in_files(copy)
                setting = cls(
                    document=document,
                    seed=seed,
                    scratch=scratch,
                    copy=copy,
                    authority=Authority(scratch),
                    redactor=redactor,
                    tell=tell,
                    secret_root=secrets.token_bytes(32),
                )
                tell("starting PostgreSQL, preparing the app's environment")
                await together(setting._find_environment(stack, directory, python), setting._start_cluster(stack))
            except OSError as error:
                raise machine_refused(error) from error
            yield setting

    async def _find_environment(self, stack: AsyncExitStack, directory: Path, python: str | None) -> None:
        process = self.document.process
        environment = await prepare_environment(
            self.copy, python=python or process.python, install=process.install, origin=directory, tell=self.tell
        )
        self.python = environment.python or base_interpreter()
        self.tool_path = environment.variables
        self.zygotes = await stack.enter_async_context(Zygotes(self))
        for command in (web_command(process), process.worker):
            if command is not None:
                self.zygotes.of(command)  # it imports while the database starts and the migrations run

    async def _start_cluster(self, stack: AsyncExitStack) -> None:
        self.cluster = await stack.enter_async_context(cluster_with(self.document.process.extensions))
        self.databases = await stack.enter_async_context(Databases(self.cluster))
        upstream = Upstream.of(self.cluster)
        self.migration_wire = await stack.enter_async_context(Wire(upstream=upstream, seed=self.seed))
        await self.cluster.roles(self.owner, self.runtime)
        self.base = await self.empty_database(BASE)

    async def migrate(self) -> None:
        """Bring the base to the schema of the code, and freeze it.

        Raises:
            HoldtrueError: a migration or a seed fails.
        """
        self.tell("migrating")
        try:
            if self.document.process.migrate is not None:
                await self.run_migration(self.document.process.migrate, self.base, name="migrate")
            for command in self.document.process.seed:
                await self.run_migration(command, self.base, name="seed")
            await self.databases.freeze(self.base)
        except OSError as error:
            raise machine_refused(error) from error
        self.migrated.set()

    async def empty_database(self, name: str) -> str:
        """Make an empty database as a deploy would find it; the caller drops it."""
        return await self.databases.create_empty(name, owner=self.owner, extensions=self.document.process.extensions)

    async def run_migration(self, command: Command, database: str, *, name: str) -> str:
        """Run a migration or seed command against a database and return its output.

        Raises:
            HoldtrueError: it fails; the message has the end of its output.
        """
        listener = await self.migration_wire.listen(f"{name}-{database}", database)
        await self.migration_wire.swap(database)
        instruments = self.instruments(wire=self.migration_wire, wire_port=listener.port)
        words = instruments.command(command, {"python": str(self.python)})
        done = await process.run(
            words,
            cwd=self.copy,
            env=self.environment(instruments, self.document.process.migrate_env),
            log_path=self.logs / f"{name}.log",
            patience=COMMAND_PATIENCE,
            redact=self.redactor.text,
            name=name,
        )
        if done.returncode != 0:
            raise HoldtrueError(
                f"`{' '.join(words)}` ended with code {done.returncode}:\n{_tail(done.output)}",
                where=f"process.{name}",
                why="Without the schema nothing can be rehearsed, and a deploy would fail at the same step.",
                do=_hint(done.output),
            )
        return done.output

    def instruments(
        self,
        *,
        wire: Wire,
        wire_port: int,
        payments: StripeDouble | None = None,
        mail: MailServer | None = None,
    ) -> Instruments:
        """Where a process finds the instruments; a migration finds nobody behind port 9 (discard)."""
        return Instruments(
            wire_port=wire_port,
            wire_password=wire.password,
            owner=self.owner,
            runtime=self.runtime,
            stripe_url=payments.url if payments else "https://127.0.0.1:9",
            stripe_key=payments.secret_key if payments else "sk_test_not_in_a_migration",
            stripe_webhook_secret=payments.webhook_secret if payments else "whsec_not_in_a_migration",
            smtp_port=mail.port if mail else 9,
            secret_root=self.secret_root,
        )

    def environment(
        self,
        instruments: Instruments,
        extra: Mapping[str, str] | None = None,
        *,
        values: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The whole environment of a process: allow-listed, then the document's own; refused where it is not safe.

        Raises:
            HoldtrueError: a live key, or an address outside this machine.
        """
        rendered = instruments.environment(self.document.process.env | dict(extra or {}), values or {})
        templates = [*self.document.process.env.values(), *(extra or {}).values()]
        self.redactor.learn_all(instruments.secrets_by_name(templates) | rendered)
        refuse_remote_addresses(rendered)
        return base_environment(self.scratch) | dict(self.tool_path) | rendered

    def keep_traceback(self, name: str, error: BaseException) -> None:
        """Keep where a proof failed, beside the app's logs."""
        text = "".join(traceback.format_exception(error))
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            (self.logs / f"{name}-traceback.txt").write_text(self.redactor.text(text), encoding="utf-8")
        except OSError as refusal:
            self.notes.add(f"the traceback of {name} could not be kept: {refusal.strerror}")

    @asynccontextmanager
    async def stages(self, count: int) -> AsyncIterator[list[Stage]]:
        """Set ``count`` stages; the first one plays the scene that all start from."""
        stages = [Stage(self, lane) for lane in range(count)]
        try:
            try:
                await together(*(stage.open() for stage in stages))
            except OSError as error:
                raise machine_refused(error) from error
            yield stages
        except BaseException:
            await close(stages)  # what went wrong first is told, and not what followed from it
            raise
        for refusal in await close(stages):
            raise refusal

    async def forget_scene(self) -> None:
        """Have the next stages set the scene again, with new tokens and new ids; those there were are closed.

        Nothing may go on knowing what the old scene had. What is known of the app itself (its habits, its statements,
        which routes were reached) stays.
        """
        if self.scene is not None:
            await self.databases.drop(self.scene.database)
        self.scene, self.lifetime, self.scene_is_set = None, None, asyncio.Event()
        self.twins.clear()
        self.known.clear()

    @asynccontextmanager
    async def backstage(self, lane: int) -> AsyncIterator[Stage]:
        """A stage on which the app is not started, for what asks nothing of it."""
        stage = Stage(self, lane)
        try:
            yield stage
        finally:
            await stage.close()


async def close(stages: list[Stage]) -> list[BaseException]:
    """Close every stage, whatever becomes of the others; return what went wrong."""
    ended = await asyncio.gather(*(stage.close() for stage in stages), return_exceptions=True)
    return [refusal for refusal in ended if refusal is not None]


async def together(*jobs: Coroutine[Any, Any, None]) -> None:
    """Do jobs side by side. When one fails the others are ended, and what failed first is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except ExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _tail(output: str, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in output.strip().splitlines()[-lines:])


def _hint(output: str) -> str:
    if "extension" in output and "not available" in output:
        return "Name the extension under `process.extensions`; the stage then uses a PostgreSQL that has it."
    if "must be owner" in output or "permission denied" in output:
        return "Let the migration run as the owner: put {postgres_owner_url} into `process.migrate_env`."
    return "Mend the migration: it must bring an empty database to the schema of the code."
