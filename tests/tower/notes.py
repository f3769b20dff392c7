"""A small module with everything in it: permissions, routes, an event, hooks, jobs, an inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import Header
from pydantic import BaseModel, ConfigDict
from sqlalchemy import MetaData, select
from sqlalchemy.orm import Mapped

from holdtrue.contract import (
    Call,
    Contract,
    Event,
    Guard,
    Job,
    MailTemplate,
    Observe,
    Payload,
    Permission,
    Table,
    Transform,
    public,
    signature,
    signed_in,
)
from holdtrue.runtime import (
    Model,
    Module,
    ModuleSettings,
    NotFound,
    RawBody,
    Router,
    TenantRow,
    Unauthorized,
    Unit,
    UnitOfWork,
    Work,
    flow,
    prefix,
    require_outside,
)

READ = Permission(name="notes.read", doc="see notes")
WRITE = Permission(name="notes.write", doc="write notes")


class Draft(Payload):
    title: str


class NoteAdded(Payload):
    note_id: UUID
    title: str


class Nothing(Payload):
    """Everything by default."""


class Imported(Payload):
    external_id: str


NOTE_ADDED = Event(name="notes.note_added", payload=NoteAdded, audited=True, subject="note_id")
ALLOW = Guard(name="notes.allow", payload=Draft)
DRAFT = Transform(name="notes.draft", payload=Draft)
SEEN = Observe(name="notes.seen", payload=NoteAdded)
INDEX = Job(name="notes.index", payload=NoteAdded, lane="search", attempts=3)
CHARGE = Job(name="notes.charge", payload=NoteAdded, lane="search", attempts=3, unknown="hold")
TIDY = Job(name="notes.tidy", payload=Nothing)
IMPORT = Job(name="notes.import", payload=Imported, lane="import")
HELLO = MailTemplate(name="notes.hello", payload=Draft, subject="Hello", text="{{ title }}")

CONTRACT = Contract(
    name="notes",
    version="1.0.0",
    permissions=(READ, WRITE),
    events=(NOTE_ADDED,),
    hooks=(ALLOW, DRAFT, SEEN),
    jobs=(INDEX, CHARGE, TIDY, IMPORT),
    tables=(Table(name="notes"),),
    mails=(HELLO,),
)


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Note(TenantRow, Base):
    __tablename__ = "notes"
    title: Mapped[str]


class NotesSettings(ModuleSettings):
    model_config = prefix("NOTES_")
    search_url: str = "http://search.test"


@dataclass
class Search:
    """The provider that jobs call; tests say what it does."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    failing: list[Exception] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event | None = None

    async def index(self, key: str, title: str) -> None:
        require_outside("search")
        self.calls.append((key, title))
        self.begun.set()
        if self.free is not None:
            await self.free.wait()
        if self.failing:
            raise self.failing.pop(0)


@dataclass(frozen=True)
class Provider:
    search: Search


@asynccontextmanager
async def open_search(settings: NotesSettings) -> AsyncIterator[Provider]:
    yield Provider(Search())


@flow(emits=(NOTE_ADDED,))
async def add_note(unit: UnitOfWork, draft: Draft) -> Note:
    await unit.guard(ALLOW, draft)
    draft = await unit.transform(DRAFT, draft)
    note = Note(title=draft.title)
    unit.session.add(note)
    added = NoteAdded(note_id=note.id, title=note.title)
    await unit.emit(NOTE_ADDED, added)
    await unit.observe(SEEN, added)
    await unit.enqueue(INDEX, added)
    return note


async def index_note(work: Work, payload: NoteAdded) -> None:
    await work.port(Provider).search.index(work.key, payload.title)
    async with work.finish() as unit:
        unit.session.add(Note(title=f"indexed {payload.title}"))


async def charge(work: Work, payload: NoteAdded) -> None:
    await work.port(Provider).search.index(work.key, payload.title)


async def tidy(work: Work, payload: Nothing) -> None:
    """There is nothing to tidy up."""


async def import_note(work: Work, payload: Imported) -> None:
    async with work.finish(tenant=UUID(payload.external_id)) as unit:
        unit.session.add(Note(title="imported"))


class NoteIn(BaseModel):
    title: str


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    title: str


router = Router(prefix="/notes", tags=("notes",))


@router.get("", access=READ)
async def list_notes(unit: Unit) -> list[NoteOut]:
    rows = await unit.session.scalars(select(Note).order_by(Note.id))
    return [NoteOut.model_validate(row) for row in rows]


@router.post("", access=WRITE, status=201, rehearse=Call(json_={"title": "{unique}"}))
async def create(body: NoteIn, unit: Unit) -> NoteOut:
    return NoteOut.model_validate(await add_note(unit, Draft(title=body.title)))


@router.get("/about", access=public("anybody may know what this is"))
async def about() -> dict[str, str]:
    return {"what": "notes"}


@router.get("/me", access=signed_in())
async def me(unit: Unit) -> dict[str, str]:
    return {"who": unit.context.principal.id}


@router.post("/import", access=signature("importer"))
async def import_one(body: RawBody, unit: Unit, x_signature: str = Header("")) -> dict[str, bool]:
    if x_signature != "right":
        raise Unauthorized("The signature is not valid.")
    key = body.decode()
    return {"new": await unit.receive(IMPORT, Imported(external_id=key), key=key)}


@router.get("/{note_id}", access=READ)
async def read(note_id: UUID, unit: Unit) -> NoteOut:
    note = await unit.session.get(Note, (unit.tenant, note_id))
    if note is None:
        raise NotFound
    return NoteOut.model_validate(note)


def Notes(open_ports: Callable[[NotesSettings], AbstractAsyncContextManager[Any]] = open_search) -> Module:  # noqa: N802
    return Module(
        contract=CONTRACT,
        routers=(router,),
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "notes_migrations",
        settings=NotesSettings,
        open=open_ports,
        bindings=(INDEX.bind(index_note), CHARGE.bind(charge), TIDY.bind(tidy), IMPORT.bind(import_note)),
    )
