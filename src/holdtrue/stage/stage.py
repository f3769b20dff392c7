"""One stage: the app under test and its instruments. A rehearsal is played on it (DESIGN §2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from holdtrue.contract.document import Command, Document
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.cast import TENANTS, Cast
from holdtrue.stage.client import Answer, Client
from holdtrue.stage.clone import Clone
from holdtrue.stage.crew import FIRST, WORKER, Build, Crew, Member
from holdtrue.stage.database import (
    Catalog,
    ClonePool,
    Difference,
    Operation,
    Reach,
    Snapshot,
    age,
    catalog_of,
    difference,
    reach_of,
    snapshot,
)
from holdtrue.stage.errands import Errands
from holdtrue.stage.evidence import Redactor
from holdtrue.stage.mail import MailServer, MailTimeoutError
from holdtrue.stage.outfit import Outfit
from holdtrue.stage.payments import Clock, StripeDouble
from holdtrue.stage.quiet import Quiet
from holdtrue.stage.scene import Call, Scene, Seen
from holdtrue.stage.steps import Player, StepFailedError
from holdtrue.stage.tables import qualified_all
from holdtrue.stage.tokens.lifetimes import Lifetime
from holdtrue.stage.watching import watching
from holdtrue.stage.wire import Recording, Upstream, Wire
from holdtrue.stage.witness import Witness

if TYPE_CHECKING:
    from holdtrue.stage.setting import Setting

Learned = TypeVar("Learned")
READY_CLONES = 2
NEEDS_WORKER = 0.5
"""Seconds without an answer after which a worker is let go on: the answer may wait for it."""
MAIL_PATIENCE = 10.0
"""Seconds a mail that a step needs may take."""


class Stage:
    """The app under test, surrounded."""

    def __init__(self, setting: Setting, lane: int) -> None:
        self.setting = setting
        self.lane = lane
        self.document: Document = setting.document
        self.redactor: Redactor = setting.redactor
        self.cast = Cast(setting.document, seed=setting.seed)
        self.redactor.learn_all(self.cast.knowledge.app)
        self.wire = Wire(upstream=Upstream.of(setting.cluster), seed=setting.seed, identifiers=setting.identifiers)
        self.payments = StripeDouble(authority=setting.authority, seed=str(setting.seed), clock=Clock(time.time))
        self.mail = MailServer()
        self.crew = Crew(setting.document, self._equip, self._spoke)
        self.quiet = Quiet(self.wire, self.mail, self.payments, self.crew)
        self.witness = Witness(self.wire, self.payments, self.mail, self.quiet.is_background)
        self.client = Client()
        self.player = Player(
            cast=self.cast,
            client=self.client,
            redactor=setting.redactor,
            port=lambda: self.port(FIRST),
            mail_text=self._mail_text,
            command=self._command,
            asking=self._asking,
            silent=self._fell_silent,
            named=self._named,
        )
        self._known: dict[Hashable, object] = {}
        self.database = ""
        self._saved: Scene | None = None
        self.doubt: str | None = None
        """A route that answered 5xx: a refusal, or an app that is not well any more."""
        self._log: Recording | None = None
        self._written = True
        self._calls = 0
        """How many calls the provider had seen when the stage was last reset."""
        self._standing: Call | None = None
        self._restless = True
        self._errands = Errands(Reach(), ())
        self.clone = Clone(setting.cluster, lambda: self.database)
        self._rows: Snapshot | None = None
        self._exit = AsyncExitStack()
        self._pool: ClonePool | None = None
        self._ports: dict[str, int] = {}
        self._outfit: Outfit | None = None

    # -- setting the stage ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the instruments and the app; the first stage plays the scene, the others wait for it.

        Raises:
            HoldtrueError: the app does not start, or a step of the scene fails.
        """
        for instrument in (self.wire, self.mail, self.client):
            await self._exit.enter_async_context(instrument)
        await self.payments.start()
        self._exit.push_async_callback(self.payments.close)
        self._outfit = Outfit.of(self.setting, self.lane, wire=self.wire, payments=self.payments, mail=self.mail)
        self._log = self._exit.enter_context(self.wire.record())
        self._exit.push_async_callback(self.crew.close)
        start = await self.setting.databases.clone(self.setting.base)
        self.database = start
        await self.wire.swap(start)
        if self.lane > 0:
            await self.setting.first_is_up.wait()  # the scene waits for the first stage, and nobody for the others
        for name in (FIRST, WORKER) if self.crew.has_worker else (FIRST,):
            self.crew.begin(name)
        await self.crew.everybody()
        self.setting.first_is_up.set()
        await self._note_ports()
        await self.wire.learn_writing_functions(self.setting.runtime)
        if self.lane == 0:
            if not self.setting.habits.done():
                await self.quiet.learn(worker=self.crew.has_worker)
                self.setting.habits.set_result(self.quiet.habits)
            self.quiet.habits = self.setting.habits.result()
            self.quiet.park()
            await self._play_scene(start)
        else:
            self.quiet.habits = await self.setting.habits
            self.quiet.park()
            await self.setting.scene_is_set.wait()
        self._pool = await self._exit.enter_async_context(
            ClonePool(self.setting.databases, self.scene.database, size=READY_CLONES)
        )
        self._errands = Errands(self.setting.reach, (shape for _, shape in self.quiet.habits.polls))
        await self.reset()

    async def _play_scene(self, database: str) -> None:
        self.setting.tell("setting the scene")
        for who in self.cast.members():
            await self.player.play(self.cast.principal(who).steps, who=who, tenant=who.tenant)
        for tenant in TENANTS:
            for resource in self.document.resources.values():
                default = self.cast.who(resource.as_, tenant)
                await self.player.play(resource.steps, who=None, tenant=tenant, default=default)
        self.setting.lifetime = Lifetime.of(self.cast, time.time())
        await self.quiet.rest()
        async with await self.setting.cluster.admin(database) as connection:
            catalog = await catalog_of(connection)
            rows = await snapshot(connection, self._watched(catalog))
            self.setting.reach = await reach_of(connection)
        self.setting.scene = await self._frozen(catalog, rows)
        self.setting.scene_is_set.set()

    async def _frozen(self, catalog: Catalog, rows: Snapshot, origin: Scene | None = None) -> Scene:
        """Keep the database behind the wire as it is, and go on with another one."""
        database, self.database = self.database, await self.setting.databases.clone(self.setting.base)
        await self.clone.leave()
        await self.wire.swap(self.database)
        await self.setting.databases.freeze(database)
        return Scene(
            database=database,
            catalog=catalog,
            rows=rows,
            knowledge=self.cast.knowledge.copy(),
            payments=self.payments.snapshot(),
            mailbox=self.mail.snapshot(),
            origin=origin,
        )

    async def close(self) -> None:
        """End the app and the instruments, and hand over what they saw."""
        async with self._exit:
            await self.clone.leave()
            self.setting.unmodelled.update(self.payments.unmodelled)
            self.setting.egress.update(map(str, self.setting.zygotes.egress.attempts()))
            if self._outfit is not None:
                self.setting.egress.update(map(str, self._outfit.redirect.egress.attempts()))
            if not self.crew.sealed:
                self.setting.notes.add(
                    "the kernel offers no guard on connections here: only Python's and Node's own sockets were guarded"
                )
            self.setting.notes.update(self.crew.ends())

    @property
    def outfit(self) -> Outfit:
        """What processes and commands get here."""
        if self._outfit is None:
            raise HoldtrueError("the instruments of this stage have not started")
        return self._outfit

    def at_close(self, end: Callable[[], Awaitable[None]]) -> None:
        """Have something ended with the stage."""
        self._exit.push_async_callback(end)

    # -- between cases ----------------------------------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """Where the last reset went back to."""
        scene = self._saved or self.setting.scene
        if scene is None:
            raise HoldtrueError("the scene is not set")
        return scene

    async def save(self, origin: Scene | None = None) -> Scene:
        """Come to rest, and keep what is now for later resets; the app goes on from here.

        With an ``origin`` changes are told against that one, after a reset to this one, too.
        """
        await self.rest()
        saved = await self._frozen(self.scene.catalog, await self.rows(), origin)
        await self.reset(saved)
        return saved

    async def reset(self, to: Scene | None = None) -> None:
        """Go back to the scene: a fresh clone behind the wire, doubles and knowledge as they were, everybody alive.

        To the one that all stages share, or to one that was saved on this stage.
        """
        if self._pool is None:
            raise HoldtrueError("the scene is not set")
        # Who is still starting, or at work behind an answer, must not lose the database under its feet. A parked
        # worker is at no work, and what it was given goes with the clone.
        await self._note_ports()
        if not self.quiet.parked:
            await self.rest()
        elif self._restless:
            await self.quiet.rest(polls=False)
        self._saved = to
        self.witness.gather()
        await self.mail.restore(self.scene.mailbox)
        clone = await (self.setting.databases.clone(to.database) if to is not None else self._pool.take())
        await self.clone.leave()
        await self.wire.swap(clone)
        self.quiet.park()
        if self.setting.identifiers.used:
            # At once: the next case must not find an identifier taken by what this one has left prepared.
            await self.setting.databases.roll_back_prepared(self.database)
        await self._pool.release(self.database)
        self.database = clone
        self.payments.restore(self.scene.payments)
        self._calls = len(self.payments.calls)
        self.cast.knowledge = self.scene.knowledge.copy()
        self._read_log()
        self._written, self._rows, self._standing = False, self.scene.rows, None
        self._errands.given = False
        self.player.evidence.add("scene")

    async def fresh(self, to: Scene | None = None) -> None:
        """Go back to the scene, unless nothing was written since: a refused request usually writes nothing."""
        self._read_log()
        if self._written or self._saved is not to or self.crew.dead():
            await self.reset(to)

    async def is_untouched(self) -> bool:
        """Whether all is as the scene has it: every row, what the provider was asked to do, and mailboxes.

        What was written and rolled back has left nothing; then the stage counts as fresh again.
        """
        await self.quiet.rest(polls=False)
        scene = self.scene
        asked = any(call.method != "GET" for call in self.payments.calls[self._calls :])
        if asked or len(self.mail.mails) != len(scene.mailbox.mails) or await self.rows() != scene.rows:
            return False
        self._written = False
        return True

    @property
    def standing(self) -> Call | None:
        """What the stage was made ready for, if nothing was written since."""
        self._read_log()
        return None if self.crew.dead() else self._standing

    def stand(self, ready: Call) -> None:
        """Take note of what the stage was just made ready for."""
        self._read_log()
        self._standing = ready

    def distrust(self) -> None:
        """Take nothing for granted after something went wrong: the next case starts from the scene."""
        self._written, self._rows, self._standing = True, None, None
        self._errands.given = True
        self._acting()

    def _read_log(self) -> None:
        """Take notice of the statements since the last time; each shape is remembered as one the code uses."""
        if self._log is None:
            return
        statements, self._log.statements[:] = list(self._log.statements), []
        for statement in statements:
            self.setting.captured.setdefault(statement.shape, statement)
        work = [each for each in statements if not self.quiet.is_background(each)]
        self._errands.note(work)
        if any(each.writes for each in work):
            self._written, self._rows, self._standing = True, None, None

    async def restart(self) -> None:
        """Replace every process of the app, so that nothing in anybody's memory is left of earlier cases."""
        self._acting_on_processes()
        await self.crew.restart()
        await self._note_ports()

    def begin_evidence(self) -> None:
        """Start to keep evidence for a new case."""
        self.player.evidence = self.witness.begin()

    # -- acting -----------------------------------------------------------------------------------------------------

    def port(self, name: str = FIRST) -> int:
        """The port of a running web process."""
        return self._ports[name]

    def _named(self, port: int) -> str:
        """Whose port that is; empty for a process that is not of the crew."""
        return next((name for name, known in self._ports.items() if known == port), "")

    async def web(self, name: str) -> Member:
        """Return a web process, started if need be."""
        member = await self.crew.member(name)
        if member.port is not None:
            self._ports[name] = member.port
        return member

    async def kill(self, *names: str) -> None:
        """SIGKILL processes of the app, all of them when none is named; they start anew when next needed."""
        self.player.evidence.add("kill", processes=list(names) or "all")
        self._acting_on_processes()
        await self.crew.kill(*names)

    async def promote(self, name: str) -> None:
        """Let a process take the first one's place, as behind a load balancer when that one is gone."""
        await self.web(name)
        await self.crew.promote(name)
        self.wire.exchange_names(name, FIRST)
        self._ports[FIRST] = self._ports.pop(name)
        self.player.evidence.add("promote", process=name, becomes=FIRST)

    async def revive(self, *names: str) -> None:
        """Start processes again, as a supervisor would after a crash."""
        self.player.evidence.add("start", processes=list(names))
        self._acting_on_processes()
        for name in names:
            self.crew.begin(name)
        await self.crew.everybody()
        await self._note_ports()

    async def rest(self) -> bool:
        """Wait until the app has finished what it does behind its answers. False when it never rests."""
        if self._restless and self._is_without_errand():
            # A worker that could find nothing to do is not let go on to find it.
            self._restless = not await self.quiet.rest(polls=False) or not self._is_without_errand()
            if not self._restless:
                return True
        self.quiet.unpark()  # a worker that is starting must be heard
        await self._note_ports()
        if self._restless:
            self._restless = not await self.quiet.rest()
        self.quiet.park()
        return not self._restless

    def _is_without_errand(self) -> bool:
        self._read_log()
        return not self._errands.given and self.quiet.all_parked and not self.crew.dead()

    async def stirs(self, patience: float) -> bool:
        """Wait until the app says by itself what an idle one does not say; False after so many seconds without it."""
        self.quiet.unpark()
        with self.wire.record() as recording:
            try:
                async with asyncio.timeout(patience):
                    await recording.seen(lambda statement: not self.quiet.is_background(statement))
            except TimeoutError:
                return False
        self._acting()
        return True

    async def age(self, seconds: float) -> None:
        """Let time pass in the database: shift its timestamps into the past, so that back-offs and leases are over."""
        await age(await self.clone.connection(), seconds, catalog=self.scene.catalog)
        self._acting()
        self._written, self._rows, self._standing = True, None, None
        self._errands.given = True  # what was to be done later is due
        self.player.evidence.add("age", seconds=seconds)

    async def rows(self) -> Snapshot:
        """Every row of the app, now; read again only if something was written since."""
        self._read_log()
        if self._rows is None:
            self._rows = await snapshot(await self.clone.connection(), self._watched(self.scene.catalog))
        return self._rows

    def _watched(self, catalog: Catalog) -> Catalog:
        """The tables whose rows matter: a worker's heartbeat in a table out of scope is no harm."""
        return catalog.without(qualified_all(self.document.tables_out_of_scope))

    @asynccontextmanager
    async def refusing(self, tables: Iterable[str], operations: Iterable[Operation]) -> AsyncIterator[None]:
        """Have the database refuse these writes to some tables (full names) for a while; see ``Clone.refusing``."""
        self.player.evidence.add("refusing", tables=sorted(tables), operations=list(operations))
        async with self.clone.refusing(tables, operations):
            yield
        self.player.evidence.add("refusing_ended", tables=sorted(tables))

    async def difference(self) -> Difference:
        """What has changed since the scene."""
        return difference(self.scene.start.rows, await self.rows(), self.scene.catalog)

    def watch(self, *, rest: bool = True) -> AbstractAsyncContextManager[Seen]:
        """Watch what comes of something; with ``rest``, of the work behind the answer, too."""
        return watching(self, rest=rest)

    async def once(self, key: Hashable, learn: Callable[[], Awaitable[Learned]]) -> Learned:
        """What a proof learns of the app on this stage, and others may use: learned by whoever asks first."""
        if key not in self._known:
            self._known[key] = await learn()
        return cast("Learned", self._known[key])

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _note_ports(self) -> None:
        for member in await self.crew.everybody():
            if member.port is not None:
                self._ports[member.name] = member.port

    def _acting(self) -> None:
        """Something is done to the app; it may have work to do."""
        self._restless = True

    def _acting_on_processes(self) -> None:
        self._acting()
        self._errands.given = True
        self.quiet.unpark()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Send a request while the worker is parked: it works in a rest, unless the answer itself waits for it."""
        self._acting()
        waiting = asyncio.get_running_loop().call_later(NEEDS_WORKER, self.quiet.unpark)
        try:
            yield
        finally:
            waiting.cancel()

    async def _fell_silent(self, port: int, answer: Answer) -> None:
        """See to a process that did not answer: it may have ended.

        One that let a request hang is ended. It may be stuck for whoever comes next, too, and what it did in the end
        would be taken for something else. Not while it is held: that is our doing.
        """
        await self.crew.notice(port)
        name = self._named(port)
        if answer.hung and name and not any(each.held and each.process == name for each in self.wire.in_flight()):
            await self.crew.end_hanging(name)

    async def _spoke(self, name: str) -> None:
        """Wait until a process says something to the database."""
        with self.wire.record() as recording:
            await recording.seen(lambda statement: statement.process == name)

    async def _mail_text(self, address: str) -> list[str]:
        self.quiet.unpark()
        if not self.mail.find(to=address):
            try:
                await self.mail.arrived(to=address, patience=MAIL_PATIENCE)
            except MailTimeoutError as error:
                raise StepFailedError(str(error), where=f"mail to {address}") from error
        await self.rest()
        mail = self.mail.find(to=address)[-1]
        return [mail.text or "", mail.html or ""]

    async def _command(self, command: Command, variables: Mapping[str, object]) -> str:
        output = await self.outfit.command(command, variables, self.database)
        self._acting()  # what it wrote may be work for the app
        return output

    async def _equip(self, name: str) -> Build:
        return await self.outfit.equip(name, self.database)
