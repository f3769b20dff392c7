"""What the app's processes and commands get on one stage: the instruments' addresses, a redirected way out, a log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdtrue.contract.document import Command
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage import process
from holdtrue.stage.crew import Build, web_command
from holdtrue.stage.mail import MailServer
from holdtrue.stage.payments import HOSTS, StripeDouble
from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.process import AppProcess, Redirect
from holdtrue.stage.wire import Listener, Upstream, Wire

if TYPE_CHECKING:
    from holdtrue.stage.setting import Setting

COMMAND_PATIENCE = 60.0
"""Seconds a command of a step may take."""


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """Builds processes and runs commands among the instruments of a stage, once these have started."""

    setting: Setting
    lane: int
    wire: Wire
    payments: StripeDouble
    mail: MailServer
    redirect: Redirect

    @classmethod
    def of(cls, setting: Setting, lane: int, *, wire: Wire, payments: StripeDouble, mail: MailServer) -> Outfit:
        """For the instruments of a lane."""
        redirect = Redirect(
            setting.scratch / f"redirect-{lane}",
            routes={f"{host}:443": payments.port for host in HOSTS},
            ca=setting.authority.ca_file,
            root=setting.copy,
        )
        return cls(setting=setting, lane=lane, wire=wire, payments=payments, mail=mail, redirect=redirect)

    async def equip(self, name: str, database: str) -> Build:
        """Give a process its own way to the database, and return what builds it."""
        return self._build(name, self._instruments(await self.wire.listen(name, database), self.wire))

    async def command(self, command: Command, variables: Mapping[str, object], database: str) -> str:
        """Run a command of the app and return its output.

        Raises:
            HoldtrueError: it fails.
        """
        instruments = self._instruments(await self.wire.listen("command", database), self.wire)
        done = await process.run(
            instruments.command(command, {**variables, "python": str(self.setting.python)}),
            cwd=self.setting.copy,
            env=self._environment(instruments) | self.setting.zygotes.environment(command),
            mother=self.setting.zygotes.of(command),
            log_path=self.setting.logs / f"command-{self.lane}.log",
            patience=COMMAND_PATIENCE,
            redact=self.setting.redactor.text,
        )
        if done.returncode != 0:
            raise HoldtrueError(
                f"the command ended with code {done.returncode}:\n{done.output}",
                where=f"step `run = {command!r}`",
                do="Run it by hand with the same environment, and mend the step.",
            )
        return done.output

    @asynccontextmanager
    async def on_nothing(self) -> AsyncIterator[tuple[Wire, Callable[[str], Awaitable[Build]]]]:
        """An empty database behind a wire of its own, and what gives a process its way to it, as ``equip`` does."""
        setting = self.setting
        empty = await setting.empty_database(f"unmigrated{self.lane}")
        try:
            async with Wire(upstream=Upstream.of(setting.cluster), seed=setting.seed) as wire:

                async def equip(name: str) -> Build:
                    return self._build(name, self._instruments(await wire.listen(name, empty), wire))

                yield wire, equip
        finally:
            await setting.databases.drop(empty)

    @asynccontextmanager
    async def unmigrated(self) -> AsyncIterator[tuple[int, Wire] | None]:
        """Start a web process on an empty database; None when it refuses to run there. Gives its port and its wire."""
        async with self.on_nothing() as (wire, equip), self.web(await equip("unmigrated")) as port:
            yield None if port is None else (port, wire)

    @asynccontextmanager
    async def web(self, build: Build) -> AsyncIterator[int | None]:
        """A web process that need not be ready, by its port; None when it does not start."""
        told = self.setting.document.process
        try:
            web, port = await process.start_on_port(
                lambda port: build(web_command(told), port), port=None, url_path=None, patience=told.ready_seconds
            )
        except process.StartError:
            yield None
            return
        try:
            yield port
        finally:
            await web.kill()

    def _instruments(self, listener: Listener, wire: Wire) -> Instruments:
        return self.setting.instruments(wire=wire, wire_port=listener.port, payments=self.payments, mail=self.mail)

    def _environment(self, instruments: Instruments, values: Mapping[str, str] | None = None) -> dict[str, str]:
        return self.redirect.environment(self.setting.environment(instruments, values=values))

    def _build(self, name: str, instruments: Instruments) -> Build:

        def build(command: Command, port: int | None) -> AppProcess:
            values: dict[str, str] = {"python": str(self.setting.python), "port": str(port or 0)}
            zygotes = self.setting.zygotes
            return AppProcess(
                f"{name} of stage {self.lane}",
                instruments.command(command, values),
                cwd=self.setting.copy,
                env=self._environment(instruments, values) | zygotes.environment(command),
                mother=zygotes.of(command),
                log_path=self.setting.logs / f"{name}-{self.lane}.log",
                redact=self.setting.redactor.text,
            )

        return build
