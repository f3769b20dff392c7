"""A module goes from one version of its contract to the next, and nobody touches the app that is bound to it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from holdtrue.assembly.lock import lock
from holdtrue.assembly.testing import Postgres, running
from holdtrue.contract.lock import Lock, differences
from holdtrue.runtime import Faults
from holdtrue.runtime.worker import Worker

MODULE = """
from uuid import UUID

from pydantic import BaseModel

from holdtrue.contract import Contract, Event, Guard, Payload, Permission, Transform
from holdtrue.runtime import Module, Router, Unit, UnitOfWork, flow, uuid7


class Parcel(Payload):
    grams: int


class Sent(Payload):
    parcel_id: UUID
    grams: int


SEND = Permission(name="parcels.send", doc="send parcels")
PACKING = Transform(name="parcels.packing", payload=Parcel, doc="changes a parcel before it is sent")
SENT = Event(name="parcels.sent", payload=Sent, audited=True, subject="parcel_id", doc="a parcel is on its way")
HOOKS = (PACKING,)
router = Router()


@flow(emits=(SENT,))
async def send(unit: UnitOfWork, parcel: Parcel) -> None:
    parcel = await unit.transform(PACKING, parcel)
    await unit.emit(SENT, Sent(parcel_id=uuid7(), grams=parcel.grams))


@router.post("/parcels", access=SEND, status=201)
async def post(body: Parcel, unit: Unit) -> None:
    await send(unit, body)


def Parcels() -> Module:
    contract = Contract(name="parcels", version="1.0.0", permissions=(SEND,), events=(SENT,), hooks=HOOKS)
    return Module(contract=contract, routers=(router,))
"""
NEXT_MINOR = (
    ("    parcel_id: UUID\n    grams: int\n", "    parcel_id: UUID\n    grams: int\n    insured: bool = False\n"),
    (
        "HOOKS = (PACKING,)",
        'WEIGHED = Guard(name="parcels.weighed", payload=Parcel, doc="may refuse")\nHOOKS = (PACKING, WEIGHED)',
    ),
    ("    await unit.emit(", "    await unit.guard(WEIGHED, parcel)\n    await unit.emit("),
    ("grams=parcel.grams)", "grams=parcel.grams, insured=parcel.grams > 500)"),
    ('version="1.0.0"', 'version="1.1.0"'),
)
NEXT_MAJOR = (
    ("class Sent(", "class Load(Payload):\n    kilograms: float\n\n\nclass Sent("),
    ('"parcels.packing", payload=Parcel', '"parcels.packing", payload=Load'),
    ("parcel = await unit.transform(PACKING, parcel)", "await unit.transform(PACKING, Load(kilograms=1))"),
    ('version="1.0.0"', 'version="2.0.0"'),
)  # fmt: skip
APP = """
from parcels import PACKING, SENT, Parcel, Parcels, Sent

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors
from holdtrue.contract import Contract
from holdtrue.runtime import Module, UnitOfWork, Work

heard = []


async def boxed(unit: UnitOfWork, parcel: Parcel) -> Parcel:
    return Parcel(grams=parcel.grams + 100)


async def note(work: Work, sent: Sent) -> None:
    async with work.finish():
        heard.append(sent.model_dump(exclude={"parcel_id"}))


app = Module(contract=Contract(name="office", version="1.0.0"REQUIRES))
assembly = compose(app, Parcels(), Doors(), bindings=[PACKING.bind(boxed), SENT.bind(note)])
"""
ANN = {
    "X-Principal": "ann",
    "X-Tenant": str(UUID(int=7)),
    "X-Permissions": "parcels.send",
}


@dataclass
class Site:
    """Where the module is installed and the app lies, with no version loaded twice."""

    place: Path
    patch: pytest.MonkeyPatch

    def office(self, *changes: tuple[str, str], requires: str = "") -> ModuleType:
        """The app, on the module with these changes."""
        text = MODULE
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.place / "parcels.py").write_text(text)
        (self.place / "office.py").write_text(APP.replace("REQUIRES", requires))
        for name in ("parcels", "office"):
            self.patch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("office")

    def lock(self, office: ModuleType) -> Lock:
        return lock(office.assembly, "office:assembly", self.place)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions may be written within one second
    yield Site(tmp_path, monkeypatch)
    for name in ("parcels", "office"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


async def test_bindings_survive_the_next_minor_version_untouched_and_so_does_work_owed_before(
    site: Site, postgres: Postgres
) -> None:
    before = site.office()
    async with running(before.assembly, postgres) as kit:
        assert (await kit.client.post("/parcels", json={"grams": 300}, headers=ANN)).status_code == 201
        after = site.office(*NEXT_MINOR)
        assert after.boxed.__code__.co_code == before.boxed.__code__.co_code
        environ = {"DATABASE_URL": kit.urls.app, "WORKER_DATABASE_URL": kit.urls.worker}
        async with after.assembly.blueprint.open(environ, role="worker") as upgraded:
            await Worker(upgraded).drain()
    assert (before.heard, after.heard) == ([], [{"grams": 400, "insured": False}])
    async with running(after.assembly, postgres) as kit:
        assert (await kit.client.post("/parcels", json={"grams": 700}, headers=ANN)).status_code == 201
        await kit.work()
    assert after.heard[1:] == [{"grams": 800, "insured": True}]


def test_the_lock_tells_the_next_minor_version_in_words(site: Site) -> None:
    old, new = site.lock(site.office()), site.lock(site.office(*NEXT_MINOR))
    told = [str(each) for each in differences(old, new) if not each.own_source]
    assert told[0].startswith("the contract of parcels: 1.0.0 (")
    assert "→ 1.1.0 (" in told[0]
    assert told[1:] == [
        "parcels.sent: event Sent(parcel_id: uuid.UUID, grams: int) → "
        "event Sent(parcel_id: uuid.UUID, grams: int, insured: bool = False)",
        "parcels.weighed: new, guard Parcel(grams: int)",
    ]
    assert new.bindings == old.bindings


def test_a_hook_that_changed_its_type_is_reported_as_the_app_is_composed(site: Site) -> None:
    with pytest.raises(Faults) as refused:
        site.office(*NEXT_MAJOR, requires=', requires=("parcels>=1.0",)')
    version, binding = refused.value.faults
    assert (version.code, version.seen) == ("MODULE_VERSION", "office requires parcels>=1.0, not 2.0.0")
    assert binding.code == "BINDING_TYPE"
    assert binding.seen == (
        "office:boxed (the app) does not fit the transform parcels.packing of parcels 2.0.0: "
        "its second argument is annotated Parcel instead of Load"
    )
    assert binding.where == f"{site.place / 'office.py'}:12"
    assert binding.do == "Write: async def packing(unit: UnitOfWork, payload: Load) -> Load"


def test_a_hook_that_changed_its_fields_under_the_same_name_makes_the_lock_stale(site: Site) -> None:
    renamed = (("class Parcel(Payload):\n    grams", "class Parcel(Payload):\n    weight"),)
    old, new = site.lock(site.office()), site.lock(site.office(*renamed))
    told = [str(each) for each in differences(old, new)]
    assert "parcels.packing: transform Parcel(grams: int) → transform Parcel(weight: int)" in told
