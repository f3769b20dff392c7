"""Fifty tables and three hundred routes: what holds is held, and one fault among them is found where it is, once."""

from __future__ import annotations

import pytest
from enlarged import enlarge
from misfortune import World

FAULTS = [
    ("", []),
    ("without tenant: GET /thing04s/:id", [("TEN042", "GET /thing04s/{thing04_id}")]),
    ("without permission: POST /thing03s/:id/archive", [("AUTH002", "POST /thing03s/{thing03_id}/archive")]),
]


def findings(world: World) -> list[tuple[str, str]]:
    return [(finding["code"], finding["where"]) for each in world.report()["results"] for finding in each["findings"]]


def test_one_route_without_its_tenant_is_found_where_it_is(world: World) -> None:
    fault, found = FAULTS[1]
    enlarge(world.app, 5)
    world.app.process["env"]["FAULT"] = fault
    done = world.check("--only", "TEN042", "--only", "AUTH001")
    assert done.code == 1, done.said
    assert findings(world) == found
    assert {each["code"]: each["tried"] for each in world.report()["results"]} == {"AUTH001": 30, "TEN042": 30}


@pytest.mark.full
@pytest.mark.parametrize(("fault", "found"), FAULTS)
def test_a_large_app_is_held_and_one_fault_in_it_is_one_finding(
    world: World, fault: str, found: list[tuple[str, str]]
) -> None:
    enlarge(world.app, 50)
    world.app.process["env"]["FAULT"] = fault
    done = world.check("--stages", "2")
    assert done.code == (1 if found else 0), done.said
    assert findings(world) == found
    outcomes = {each["outcome"] for each in world.report()["results"]}
    assert outcomes == {"kept", "not_promised"} | ({"broken"} if found else set())
    assert world.report()["coverage"]["routes"] == {"total": 301, "reached": 301}
