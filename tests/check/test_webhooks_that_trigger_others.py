"""A webhook that triggers another, at the provider or in the app itself: no false accusation, and an end to it all."""

from __future__ import annotations

from typing import Any

import pytest
from chaining import chain
from misfortune import World

CODES = ("PAY001", "PAY004", "PAY007", "PAY009", "PAY010", "PAY011", "PAY012", "PAY014", "PAY015", "PAY016", "PAY045")
ONLY = [word for code in CODES for word in ("--only", code)]
QUICK = {"holdtrue.stage.client.PATIENCE": 3.0}


def results(world: World) -> dict[str, Any]:
    return {each["code"]: each for each in world.report()["results"]}


@pytest.mark.parametrize(
    "trick",
    [
        pytest.param("", marks=pytest.mark.full, id="nothing"),
        pytest.param("cash back", marks=pytest.mark.full, id="by a refund at the provider"),
        pytest.param("packing", marks=pytest.mark.full, id="by asking the app itself"),
    ],
)
def test_an_app_whose_webhook_triggers_another_is_held(world: World, trick: str) -> None:
    chain(world.app, trick)
    done = world.check(*ONLY)
    assert done.code == 0, done.said
    assert {code: each["outcome"] for code, each in results(world).items()} == dict.fromkeys(CODES, "kept") | {
        "PAY015": "not_promised",
        "PAY016": "not_promised",
    }
    assert world.report()["notes"] == []


@pytest.mark.full
def test_what_a_webhook_triggers_is_tried_like_itself(world: World) -> None:
    """The event of the refund that the first one's handler makes is forged, too."""
    chain(world.app, "cash back")
    done = world.check("--only", "PAY001", "--verbose")
    assert done.code == 0, done.said
    assert "case stripe.purchase: checkout.session.completed unsigned" in done.out
    assert "case stripe.purchase: charge.refunded unsigned" in done.out


@pytest.mark.full
@pytest.mark.parametrize(
    ("trick", "event"),
    [
        ("cash back without a key", "event 1: cut before web1 `commit`"),
        ("cash back, marked first", "event 2: cut before web1 `update orders"),
    ],
)
def test_a_fault_in_such_a_chain_is_found_at_the_event_that_has_it(world: World, trick: str, event: str) -> None:
    chain(world.app, trick)
    done = world.check("--only", "PAY011")
    assert done.code == 1, done.said
    (finding,) = results(world)["PAY011"]["findings"]
    assert any(f"stripe.purchase {event}" in name for name in finding["cases"])


def test_webhooks_that_trigger_each_other_without_end_are_told_and_come_to_an_end(world: World) -> None:
    chain(world.app, "endless refunds")
    done = world.check("--only", "PAY001", "--only", "PAY011")
    assert done.code == 3, done.said
    for result in results(world).values():
        assert result["outcome"] == "not_run"
        assert "trigger each other without end: after 20 events" in result["reason"]
        assert "there was another, charge.refunded" in result["reason"]


@pytest.mark.parametrize(
    ("trick", "alone"),
    [
        pytest.param("never ending", False, id="it never ends"),
        pytest.param("locked out", False, id="it waits for a lock of its own", marks=pytest.mark.full),
        pytest.param("packing", True, id="it waits for the one process that handles it", marks=pytest.mark.full),
        pytest.param("ping pong", False, id="two ask each other for ever", marks=pytest.mark.full),
    ],
)
def test_a_webhook_without_an_end_is_not_waited_for_and_nothing_else_suffers(
    world: World, trick: str, alone: bool
) -> None:
    chain(world.app, trick)
    if alone:
        world.app.process["env"]["ALONE"] = "1"
    done = world.check("--only", "PAY001", "--only", "PAY011", "--only", "AUTH001", patience=QUICK)
    assert done.code == 3, done.said
    found = results(world)
    assert found["AUTH001"]["outcome"] == "kept"
    for code in ("PAY001", "PAY011"):
        assert found[code]["outcome"] == "not_run"
        assert "checkout.session.completed was answered with nothing (none within 3 s)" in found[code]["reason"]
        assert "what its handler waits for" in found[code]["reason"]
    assert any(note.startswith("web1 let a request hang") for note in world.report()["notes"])
