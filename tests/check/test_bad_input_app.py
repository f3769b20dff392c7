"""Apps that do not start, do not last, do not answer, or tell too much: never kept, and nothing is left behind."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from misfortune import World

QUICK = {"holdtrue.stage.client.PATIENCE": 1.0}


def only_result(world: World) -> dict[str, Any]:
    result: dict[str, Any]
    (result,) = world.report()["results"]
    return result


def test_a_sound_app_is_held_and_a_narrowed_check_says_so(world: World) -> None:
    """Only because of this do the other verdicts here mean something."""
    done = world.check("--only", "AUTH001", "--case", "GET*")
    assert done.code == 0, done.said
    assert only_result(world)["outcome"] == "kept"
    assert world.report()["notes"] == []
    assert world.report()["narrowed"] == "--only AUTH001 --case 'GET*'"
    (verdict,) = [line for line in done.out.splitlines() if line.startswith("HELD:")]
    assert verdict.endswith("Narrowed by --only AUTH001 --case 'GET*': the rest was not looked at.")


def test_an_app_that_does_not_start_is_told_with_its_own_last_words(world: World) -> None:
    world.app.trick("import error")
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "\x1b" not in done.said, "what it wrote moves the cursor of who reads it"
    assert "�[2Jgood morning" in done.err
    assert "ModuleNotFoundError: No module named 'a_package_that_nobody_installed'" in done.err
    assert "ended with code 1 before it was ready" in done.err
    assert "the app's logs are in" in done.out
    assert "a_package_that_nobody_installed" in world.app.kept()


def test_an_app_that_hangs_at_its_start_is_given_its_ready_seconds(world: World) -> None:
    world.app.trick("hanging at start")
    world.app.process["ready_seconds"] = 1
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "was not ready in 1 s" in done.err


@pytest.mark.full
def test_an_app_that_listens_elsewhere_is_not_ready(world: World) -> None:
    world.app.process["start"] = "{python} server.py 0"
    world.app.process["ready_seconds"] = 1
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "was not ready in 1 s" in done.err


def test_a_port_in_use_is_told(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        world.app.process["start"] = f"{{python}} server.py {port}"
        done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "in use" in done.err
    assert "write {port} in the command" in done.err


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        ("failing", "POST /teams was answered 500"),
        ("rude", "illegal status line"),
        pytest.param("closing", "Server disconnected without sending a response", marks=pytest.mark.full),
        pytest.param("lying", "DecodingError", marks=pytest.mark.full),
        pytest.param("deep", "`team_id` is not in it", marks=pytest.mark.full),
    ],
)
def test_an_app_whose_first_answer_is_useless_is_told_with_that_answer(world: World, trick: str, words: str) -> None:
    world.app.trick(trick)
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert words in done.err
    assert "step `POST /teams`" in done.err


@pytest.mark.parametrize("trick", ["endless", pytest.param("hanging", marks=pytest.mark.full)])
def test_a_request_that_never_ends_is_not_waited_for(world: World, trick: str) -> None:
    world.app.trick(trick)
    done = world.check("--only", "AUTH001", patience=QUICK)
    assert done.code == 3
    assert only_result(world)["outcome"] == "not_run"
    assert "none within 1 s" in only_result(world)["reason"]


@pytest.mark.full
def test_a_route_that_lets_requests_hang_is_not_waited_for_in_every_proof(world: World) -> None:
    world.app.trick("hanging")
    del world.app.document["routes"]["POST /notes"]
    world.app.document["tenancy"] = {"tenant": "team_id", "tables": {"members": "team_id", "notes": "team_id"}}
    done = world.check("--only", "AUTH001", "--only", "TEN042", patience=QUICK)
    assert done.code == 3
    results = {each["code"]: each for each in world.report()["results"]}
    assert {each["outcome"] for each in results.values()} == {"not_run"}
    assert "none within 1 s" in results["TEN042"]["reason"]
    assert "GET /notes: it let 2 requests hang, and was not asked again" in results["AUTH001"]["reason"]
    assert world.report()["notes"] == ["web1 let a request hang in a rehearsal, 2 times; the stage started it again"]


def test_an_app_that_dies_in_a_rehearsal_is_started_again_and_told(world: World) -> None:
    world.app.trick("dying")
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert only_result(world)["outcome"] == "not_run"
    assert "GET /notes" in only_result(world)["reason"]
    assert "POST /notes" in only_result(world)["reason"]
    assert "connection attempts failed" not in only_result(world)["reason"], "it was not started again"
    assert any("web1 ended by itself with code 7" in note for note in world.report()["notes"])
    assert "ended by itself" in done.out
    assert "I have had enough" in world.app.kept()


@pytest.mark.parametrize("trick", ["dying for strangers", "failing for strangers"])
def test_a_refusal_by_an_app_that_answers_nobody_any_more_is_none(world: World, trick: str) -> None:
    """Strangers are not answered, and then neither is anybody else: that is no refusal."""
    world.app.trick(trick)
    del world.app.document["routes"]["POST /notes"]
    del world.app.document["permissions"]["notes.write"]
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert only_result(world)["outcome"] == "not_run"
    assert "GET /notes as nobody" in only_result(world)["reason"]


def test_what_an_app_tells_of_its_secrets_is_in_no_output_report_evidence_or_log(world: World) -> None:
    world.app.trick("talkative")
    done = world.check("--only", "AUTH001", "--verbose")
    assert done.code == 1, "it tells strangers, so it is broken"
    (finding, *_) = only_result(world)["findings"]
    evidence = json.loads(Path(finding["evidence"]).read_text(encoding="utf-8"))
    assert any(entry["kind"] == "request" and '"reset_token"' in entry["answer_body"] for entry in evidence["entries"])
    secrets = set(world.diary.read_text(encoding="utf-8").split())
    assert len(secrets) >= 7
    told = done.said + world.app.kept()
    assert [secret for secret in secrets if secret in told] == []
