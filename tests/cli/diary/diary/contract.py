from holdtrue.contract import Contract, Event, Payload, Permission, Rehearsal, Table, Transform
from holdtrue.contract.document import Principal, Request, Resource

READ = Permission(name="diary.read", doc="see pages")
WRITE = Permission(name="diary.write", doc="write pages")


class Page(Payload):
    text: str


class PageWritten(Payload):
    page_id: str


PAGE_WRITTEN = Event(
    name="diary.page_written", payload=PageWritten, audited=True, subject="page_id", doc="a page is kept"
)
PAGE = Transform(name="diary.page", payload=Page, doc="changes a page before it is kept")

CONTRACT = Contract(
    name="diary",
    version="1.0.0",
    doc="pages, each of one tenant",
    permissions=(READ, WRITE),
    events=(PAGE_WRITTEN,),
    hooks=(PAGE,),
    tables=(Table(name="pages"),),
    rehearsal=Rehearsal(
        tenant="tenant_id",
        audit_tables=["doors_audit"],
        principals={
            "writer": Principal(
                permissions=["diary.read", "diary.write"],
                steps=[Request(request="POST /diaries", capture={"tenant_id": "tenant_id"})],
                headers={
                    "X-Principal": "writer",
                    "X-Tenant": "{tenant_id}",
                    "X-Permissions": "diary.read diary.write",
                },
            ),
            "reader": Principal(
                permissions=["diary.read"],
                headers={"X-Principal": "reader", "X-Tenant": "{tenant_id}", "X-Permissions": "diary.read"},
            ),
        },
        resources={
            "page": Resource(
                as_="writer",
                steps=[Request(request="POST /pages", json_={"text": "{canary}"}, capture={"page_id": "id"})],
            )
        },
    ),
)
