"""Apps with habits of their own in the use of their database: the sound are held, and the unsound are found out."""

from __future__ import annotations

from typing import Any

import pytest
from habitual import PROMISES, settle_in
from misfortune import World

SOUND = [
    "two-phase",
    *(
        pytest.param(habit, marks=pytest.mark.full)
        for habit in (
            *("fresh", "autocommit", "advisory", "session advisory", "listening thread", "listening worker", "elected"),
            *(
                "leased",
                "pipelined",
                "pipelined block",
                "cursors",
                "held cursors",
                "standing cursor",
                "sessions",
                "savepoints",
            ),
        )
    ),
]
UNSOUND = [
    ("session advisory", "locks too late", {"PAY009"}),
    *(
        pytest.param(habit, trick, codes, marks=pytest.mark.full)
        for habit, trick, codes in (
            ("fresh", "a transaction each", {"PAY007", "PAY011"}),
            ("autocommit", "two statements", {"PAY007", "PAY011"}),
            ("pipelined", "two pieces", {"PAY007", "PAY011"}),
            ("listening worker", "work in the notification", {"PAY007", "PAY011"}),
            ("listening thread", "gives up", {"PAY007", "PAY011"}),
            ("leased", "credits again", {"PAY011"}),
            ("two-phase", "forgets what it prepared", {"PAY011"}),
        )
    ),
]
SHORT = {"holdtrue.guarantees.payments.bought.LATE": 5.0}
"""Longer than the app's own timer; a check gives a minute."""


def only(codes: tuple[str, ...] = PROMISES) -> list[str]:
    return [word for code in codes for word in ("--only", code)]


def outcomes(world: World) -> dict[str, Any]:
    return {result["code"]: result for result in world.report()["results"]}


@pytest.mark.parametrize("habit", SOUND)
def test_a_sound_app_is_held_whatever_its_habit(world: World, habit: str) -> None:
    settle_in(world, habit)
    done = world.check(*only())
    told = {code: result["reason"] for code, result in outcomes(world).items() if result["outcome"] != "kept"}
    assert told == {}
    assert done.code == 0, done.said


@pytest.mark.parametrize(("habit", "trick", "codes"), UNSOUND)
def test_a_habit_that_leaves_a_gap_is_found_out_and_nothing_else_is(
    world: World, habit: str, trick: str, codes: set[str]
) -> None:
    settle_in(world, habit, trick=trick)
    done = world.check(*only(), patience=SHORT)
    assert {code for code, result in outcomes(world).items() if result["outcome"] == "broken"} == codes
    assert {code for code, result in outcomes(world).items() if result["outcome"] != "kept"} == codes
    assert done.code == 1, done.said


@pytest.mark.full
def test_a_statement_that_commits_by_itself_is_crashed_behind_as_a_commit_is(world: World) -> None:
    settle_in(world, "autocommit")
    world.check("--only", "PAY011")
    assert outcomes(world)["PAY011"]["tried"] == 3, "cut before, cut after, kill before"


@pytest.mark.full
def test_stages_side_by_side_do_not_take_each_others_identifiers_of_prepared_transactions(world: World) -> None:
    """They share a server, and rehearse the same purchase; here one leaves its transaction prepared for long."""
    settle_in(world, "two-phase", trick="forgets what it prepared")
    done = world.check(*only(("PAY007", "PAY009", "PAY010", "PAY011")), "--stages", "2")
    assert {code for code, result in outcomes(world).items() if result["outcome"] != "kept"} == {"PAY011"}, done.said
