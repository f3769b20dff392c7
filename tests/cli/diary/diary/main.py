from pathlib import Path
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped

from diary.contract import CONTRACT, PAGE, PAGE_WRITTEN, READ, WRITE, Page, PageWritten
from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors
from holdtrue.contract import Call, public
from holdtrue.runtime import Model, Module, NotFound, Router, TenantRow, Unit, UnitOfWork, flow


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class PageRow(TenantRow, Base):
    __tablename__ = "pages"
    text: Mapped[str]


class PageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    text: str


router = Router()


@flow(emits=(PAGE_WRITTEN,))
async def write(unit: UnitOfWork, page: Page) -> PageRow:
    page = await unit.transform(PAGE, page)
    row = PageRow(text=page.text)
    unit.session.add(row)
    await unit.session.flush()
    await unit.emit(PAGE_WRITTEN, PageWritten(page_id=str(row.id)))
    return row


@router.post("/diaries", access=public("sign-up"), status=201)
async def new_diary() -> dict[str, str]:
    return {"tenant_id": str(uuid4())}


@router.post("/pages", access=WRITE, status=201, rehearse=Call(json_={"text": "{unique}"}))
async def create(body: Page, unit: Unit) -> PageOut:
    return PageOut.model_validate(await write(unit, body))


@router.get("/pages/{page_id}", access=READ)
async def read(page_id: UUID, unit: Unit) -> PageOut:
    row = await unit.session.get(PageRow, (unit.tenant, page_id))
    if row is None:
        raise NotFound
    return PageOut.model_validate(row)


async def shout(unit: UnitOfWork, page: Page) -> Page:
    return Page(text=page.text + "!")


diary = Module(
    contract=CONTRACT, routers=(router,), metadata=Base.metadata, migrations=Path(__file__).parent / "migrations"
)
assembly = compose(diary, Doors(), bindings=[PAGE.bind(shout)])
