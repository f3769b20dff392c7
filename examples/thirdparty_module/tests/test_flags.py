"""The module by itself, and in an app that lists it."""

from importlib.metadata import entry_points
from uuid import UUID, uuid4

from holdtrue_flags import SWITCHING, Flags, Switch

from holdtrue.assembly import compose
from holdtrue.assembly.conformance import conformance
from holdtrue.assembly.testing import Doors, Postgres, running
from holdtrue.contract import Contract
from holdtrue.runtime import Conflict, Module, UnitOfWork

test_conformance = conformance(Flags())
APP = Module(contract=Contract(name="app", version="1.0.0"))


async def only_known(unit: UnitOfWork, wanted: Switch) -> None:
    if wanted.name == "unknown":
        raise Conflict("Nobody knows this feature.")


def headers(tenant: UUID) -> dict[str, str]:
    return {"X-Principal": "ann", "X-Tenant": str(tenant), "X-Permissions": "flags.read flags.write"}


async def test_a_composed_app_switches_features_of_one_tenant_and_records_it() -> None:
    one, other = uuid4(), uuid4()
    assembly = compose(APP, Flags(), Doors(), bindings=[SWITCHING.bind(only_known)])
    with Postgres.start() as postgres:
        async with running(assembly, postgres) as kit:
            for on in (False, True):
                answer = await kit.client.put("/flags/new_checkout", json={"on": on}, headers=headers(one))
                assert answer.status_code == 200, answer.text
            refused = await kit.client.put("/flags/unknown", json={"on": True}, headers=headers(one))
            assert refused.status_code == 409
            assert (await kit.client.get("/flags", headers=headers(one))).json() == {"new_checkout": True}
            assert (await kit.client.get("/flags", headers=headers(other))).json() == {}
            assert [row["action"] for row in await kit.sql("SELECT action FROM doors_audit")] == ["flags.switched"] * 2


def test_an_app_that_does_not_list_it_does_not_use_it() -> None:
    assert "flags" in entry_points(group="holdtrue.modules").names
    told = compose(APP, Doors()).document("app.main:assembly")
    assert not any("/flags" in key for key in told.routes)
    assert "flags.read" not in told.permissions
