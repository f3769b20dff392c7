"""What modules offer, and the code to begin with."""

from __future__ import annotations

from typing import Any

import pytest
from tower.notes import DRAFT, Draft, Notes

from holdtrue.assembly import compose
from holdtrue.assembly.annotations import mismatch
from holdtrue.assembly.reference import composed, installed
from holdtrue.assembly.testing import Doors
from holdtrue.runtime import UnitOfWork

MODULES = installed()["modules"]
OFFERS = [offer for module in MODULES for kind in ("hooks", "events", "jobs") for offer in module[kind]]


async def shout(unit: UnitOfWork, draft: Draft) -> Draft:
    return Draft(title=draft.title.upper())


def test_all_built_in_modules_are_told_with_what_they_are_imported_from() -> None:
    told = {each["name"]: each["package"] for each in MODULES}
    names = ("audit", "auth", "email", "payments", "tenancy")
    assert told == {name: f"holdtrue.modules.{name}" for name in names}


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer["name"])
def test_a_stub_runs_as_it_is_and_fits_what_it_is_bound_to(offer: dict[str, Any]) -> None:
    made: dict[str, Any] = {}
    exec(compile(offer["stub"], offer["name"], "exec"), made)  # noqa: S102 - our own text
    assert made["binding"].target.name == offer["name"]
    assert mismatch(made["binding"]) is None


def test_a_composed_app_tells_who_is_bound_where() -> None:
    told = composed(compose(Notes(), Doors(), bindings=[DRAFT.bind(shout)]))
    (notes,) = [each for each in told["modules"] if each["name"] == "notes"]
    (draft,) = [each for each in notes["hooks"] if each["name"] == "notes.draft"]
    assert draft["bound"] == [f"{__name__}:shout"]
    assert notes["package"] == "tower.notes"
    assert "from tower.notes import DRAFT, Draft" in draft["stub"]
    assert {"route": "GET /notes", "access": "permission", "needs": "notes.read"} in notes["routes"]
    assert {"route": "GET /notes/me", "access": "signed in", "needs": ""} in notes["routes"]
