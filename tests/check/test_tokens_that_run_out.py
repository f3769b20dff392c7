"""A check that lasts longer than the app's tokens: a refusal then proves nothing, and everybody signs in anew."""

from __future__ import annotations

from typing import Any

import pytest
from misfortune import World


def results(world: World) -> dict[str, Any]:
    return {each["code"]: each for each in world.report()["results"]}


@pytest.fixture
def tiring(world: World) -> World:
    world.app.trick("running out")
    world.app.document["tenancy"] = {"tenant": "team_id", "tables": {"members": "team_id", "notes": "team_id"}}
    return world


def lasting(world: World, times: int) -> None:
    world.app.process["env"]["LASTS"] = str(times)


def test_a_route_refused_to_a_token_that_ran_out_is_told_with_whose_and_since_when(tiring: World) -> None:
    lasting(tiring, 2)  # one use for the scene, one for the first of two routes
    done = tiring.check("--only", "AUTH001")
    assert done.code == 3, done.said
    result = results(tiring)["AUTH001"]
    assert result["outcome"] == "not_run"
    assert "POST /notes: called as it is meant to be, it was answered 401" in result["reason"]
    assert "the token of owner@a (`token`) had run out 2 min before, by its `exp`" in result["reason"]
    assert "process.env" in result["reason"]
    assert "--only" in result["reason"]
    assert "eyJ" not in done.said + tiring.app.kept()


@pytest.mark.full
def test_a_stranger_refused_only_for_a_token_that_ran_out_is_not_taken_for_kept(tiring: World) -> None:
    tiring.app.trick("running out abroad")
    lasting(tiring, 1)
    done = tiring.check("--only", "TEN042")
    assert done.code == 3, done.said
    result = results(tiring)["TEN042"]
    assert (result["outcome"], result["tried"]) == ("not_run", 0)
    assert "the token of owner@b (`token`) had run out" in result["reason"]


def test_everybody_signs_in_anew_before_a_proof_for_which_the_tokens_may_not_last(tiring: World) -> None:
    route = tiring.app.document["routes"]["GET /notes"]
    route["before"] = [{"as": "owner", "request": "POST /notes", "json": {"text": "{canary}"}}]
    lasting(tiring, 4)  # enough for either proof, and not for both
    done = tiring.check("--only", "AUTH001", "--only", "TEN042")
    assert done.code == 0, done.said
    assert {code: (each["outcome"], each["tried"]) for code, each in results(tiring).items()} == {
        "AUTH001": ("kept", 2),
        "TEN042": ("kept", 2),
    }
    assert done.out.count("everybody signs in anew") == 1
    assert done.out.count("setting the scene") == 2


@pytest.mark.full
def test_a_scene_that_cannot_be_set_again_leaves_the_rest_undecided_and_what_was_proved_proved(tiring: World) -> None:
    tiring.app.trick("running out for good")
    lasting(tiring, 4)
    done = tiring.check("--only", "AUTH001", "--only", "TEN042")
    assert done.code == 3, done.said
    found = results(tiring)
    assert found["TEN042"]["outcome"] == "kept"
    assert found["AUTH001"]["outcome"] == "not_run"
    assert "the scene could not be set again: step `POST /teams`" in found["AUTH001"]["reason"]
    assert "no more teams" in found["AUTH001"]["reason"]
