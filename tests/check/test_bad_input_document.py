"""Documents that lie, and migrations that fail: told by file and line, and nothing is taken for kept."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from misfortune import TINY, World

LIVE_KEY = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
OPENAPI = {
    "openapi": "3.1.0",
    "paths": {"/notes": {"get": {}, "post": {}}, "/members": {"post": {}, "parameters": []}, "/teams": {"post": {}}},
}


# -- refused before anything starts -----------------------------------------------------------------------------------


def refused(world: World, secret: str, **how: Any) -> str:
    done = world.check("--only", "AUTH001", **how)
    assert done.code == 2, done.said
    assert "The app was not started: one danger in sight." in done.err
    assert secret not in done.said
    assert "starting PostgreSQL" not in done.out
    assert not list((world.app.directory / ".holdtrue" / "runs").iterdir()), "a run that came to nothing was kept"
    return done.err


def test_a_live_key_in_the_shell_is_refused_and_not_shown(world: World) -> None:
    assert "STRIPE_API_KEY: a live Stripe secret key" in refused(world, LIVE_KEY, env={"STRIPE_API_KEY": LIVE_KEY})


def test_a_live_key_in_the_document_is_refused_and_not_shown(world: World) -> None:
    world.app.process["env"]["STRIPE_API_KEY"] = LIVE_KEY
    assert "STRIPE_API_KEY: a live Stripe secret key" in refused(world, LIVE_KEY)


def test_a_live_key_in_a_file_of_the_app_is_refused_and_not_shown(world: World) -> None:
    world.app.files["settings.py"] = f"import os\nKEY = os.environ.get('KEY', '{LIVE_KEY}')\n"
    assert "settings.py:2: a live Stripe secret key" in refused(world, LIVE_KEY)


@pytest.mark.parametrize("table", ["env", "migrate_env"])
def test_a_database_elsewhere_is_refused_and_its_password_not_shown(world: World, table: str) -> None:
    password = "hunter2-but-longer"
    url = f"postgresql://shop:{password}@db.example.com/shop"
    world.app.process.setdefault(table, {})["DATABASE_URL"] = url
    assert "DATABASE_URL: a database at db.example.com" in refused(world, password)


# -- migrations -------------------------------------------------------------------------------------------------------


def test_a_migration_that_hangs_is_ended(world: World) -> None:
    world.app.files["migrate.py"] = "import signal; print('begun', flush=True); signal.pause()"
    done = world.check("--only", "AUTH001", patience={"holdtrue.stage.setting.COMMAND_PATIENCE": 1.0})
    assert done.code == 3
    assert "did not end within 1 s and was killed; its output:\nbegun" in done.err


def test_a_migration_tool_that_is_not_there_is_named(world: World) -> None:
    world.app.process["migrate"] = "no-such-tool upgrade"
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "No such file or directory: no-such-tool" in done.err


def test_a_seed_that_fails_is_told(world: World) -> None:
    world.app.process["seed"] = ["{python} -c 'print(1)'", "{python} -c 'raise SystemExit(\"no plans to sell\")'"]
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "process.seed" in done.err
    assert "no plans to sell" in done.err


def test_a_migration_that_fails_is_told_with_the_words_of_the_database(world: World) -> None:
    world.app.files["schema.sql"] = "CREATE EXTENSION citext"
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "process.migrate: `" in done.err
    assert 'extension "citext" is not available' in done.err
    assert "Name the extension under `process.extensions`" in done.err


@pytest.mark.skipif(not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="needs Debian's PostgreSQL")
def test_an_extension_that_only_the_machine_s_own_postgresql_has_is_taken_from_there(world: World) -> None:
    world.app.process["extensions"] = ["citext"]
    world.app.files["schema.sql"] = (TINY / "schema.sql").read_text() + "ALTER TABLE notes ADD sender citext;"
    assert world.check("--only", "AUTH001").code == 0


def test_an_extension_that_nothing_here_has_is_named(world: World) -> None:
    world.app.process["extensions"] = ["vectr"]
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "process.extensions: the embedded PostgreSQL has no extension vectr" in done.err
    assert "Install PostgreSQL's server with vectr" in done.err


# -- what the document names and the app has not ----------------------------------------------------------------------


def test_tables_and_columns_that_the_database_has_not_are_told_by_line(world: World) -> None:
    world.app.document["tenancy"] = {
        "tenant": "team_id",
        "tables": {"teams": "id", "member": "team_id", "notes": "team"},
    }
    world.app.document["audit"] = {"tables": ["events"], "except": {"note": "not a decision"}}
    done = world.check("--only", "TEN042")
    assert done.code == 2
    no_table = "the migrated database has no table"
    for place, words in {
        "member =": f"tenancy.tables.member: {no_table} `member`\n    did you mean `members`?",
        "notes =": "tenancy.tables.notes: the table `notes` has no column `team`\n    did you mean `team_id`?",
        "tables =": f"audit.tables[0]: {no_table} `events`\n    there are: members, notes, teams",
        "note =": f"audit.except.note: {no_table} `note`\n    did you mean `notes`?",
    }.items():
        assert words in done.err
        assert world.app.place(place) in done.err
    assert done.err.endswith("4 problems in the contract document; nothing was rehearsed.\n")


def test_a_route_that_the_app_has_not_is_told_by_line(world: World) -> None:
    world.app.document["openapi"] = "/openapi.json"
    world.app.files["openapi.json"] = json.dumps(OPENAPI)
    world.app.document["routes"] |= {"GET /note": {"permission": "notes.read"}, "GET /health": {"public": "a probe"}}
    done = world.check("--only", "AUTH001")
    assert done.code == 2
    assert 'routes."GET /note": the app has no such route' in done.err
    assert "did you mean `GET /notes`?" in done.err
    assert world.app.place('[routes."GET /note"]') in done.err
    assert "1 problem" in done.err, "GET /health is hidden from OpenAPI, but there"


def test_routes_that_the_document_leaves_out_are_noted(world: World) -> None:
    world.app.document["openapi"] = "/openapi.json"
    world.app.files["openapi.json"] = json.dumps(OPENAPI)
    done = world.check("--only", "AUTH001")
    assert done.code == 0
    notes = world.report()["notes"]
    assert [note.partition(",")[0] for note in notes] == ["the app serves POST /members", "the app serves POST /teams"]
    assert "the app serves POST /members, which the document does not declare" in done.out


def test_an_openapi_document_that_is_none_is_told(world: World) -> None:
    world.app.document["openapi"] = "/openapi.json"
    world.app.files["openapi.json"] = '{"swagger": "2.0", "paths": []}'
    done = world.check("--only", "AUTH001")
    assert done.code == 2
    assert "openapi: GET /openapi.json was answered 200, and not with an OpenAPI document" in done.err
    assert world.app.place("openapi =") in done.err


def test_a_permission_that_nobody_holds_leaves_its_route_untried(world: World) -> None:
    world.app.document["principals"]["owner"]["permissions"] = ["notes.read"]
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "POST /notes: nobody in the cast holds 'notes.write'" in done.out


def test_a_route_that_does_not_succeed_has_not_shown_its_statements(world: World) -> None:
    del world.app.process["ready"]  # it says that it is ready on an empty database, which is another matter
    world.app.document["routes"]["GET /nothing"] = {"permission": "notes.read"}
    done = world.check("--only", "REL058")
    assert done.code == 3
    (result,) = world.report()["results"]
    assert result["outcome"] == "not_run"
    assert "GET /nothing: called as it is meant to be, it was answered 404" in result["reason"]


def test_a_purchase_that_never_reaches_the_provider_and_a_mail_that_never_comes_are_not_run(world: World) -> None:
    world.app.document["routes"]["POST /hook"] = {"signature": "stripe"}
    journey = {"steps": [{"request": "GET /notes", "as": "owner"}], "events": ["checkout.session.completed"]}
    world.app.document["webhooks"] = {"stripe": {"route": "POST /hook", "journeys": {"purchase": journey}}}
    cause = {"request": "POST /notes", "as": "owner", "json": {"text": "hello"}}
    world.app.document["mail"] = {"hello": {"to": "owner@a.test", "cause": cause}}
    codes = ("PAY001", "PAY011", "MAIL050", "MAIL051")
    done = world.check(*(word for code in codes for word in ("--only", code)))
    assert done.code == 3
    results = {result["code"]: result for result in world.report()["results"]}
    assert {results[code]["outcome"] for code in codes} == {"not_run"}
    assert "the app created no Checkout session" in results["PAY001"]["reason"]
    assert "no mail came to owner@a.test" in results["MAIL050"]["reason"]


def test_a_scene_that_waits_for_a_mail_in_vain_is_told(world: World) -> None:
    steps = world.app.document["principals"]["reader"]["steps"]
    steps.append({"mail": "reader@{tenant}.test", "capture": {"code": "code=(.+)"}})
    done = world.check("--only", "AUTH001", patience={"holdtrue.stage.stage.MAIL_PATIENCE": 0.5})
    assert done.code == 3
    assert "mail to reader@a.test" in done.err


# -- narrowing and waiving --------------------------------------------------------------------------------------------


def test_a_code_that_does_not_exist_is_wrong_usage(world: World) -> None:
    done = world.check("--only", "AUTH01")
    assert done.code == 2
    assert "there is no guarantee 'AUTH01'" in done.err
    assert "did you mean AUTH01" in done.err  # whichever of them is closest


def test_a_case_that_matches_nothing_is_undecided(world: World) -> None:
    done = world.check("--only", "AUTH001", "--case", "no such case")
    assert done.code == 3
    assert "no case matches 'no such case'; there are 2 cases" in done.out
    assert "UNDECIDED" in done.out


def test_waivers_are_applied_and_shown_and_an_expired_one_is_noted(world: World) -> None:
    world.app.trick("talkative")
    waiver = {"reason": "the pilot has no strangers", "owner": "ana"}
    world.app.document["waivers"] = [
        {"code": "AUTH001", **waiver, "until": date(2999, 1, 1)},
        {"code": "PAY001", **waiver, "until": date(2020, 1, 1)},
    ]
    done = world.check("--only", "AUTH001")
    assert done.code == 0
    assert "waived by ana until 2999-01-01: the pilot has no strangers" in done.out
    assert world.report()["results"][0]["outcome"] == "waived"
    assert world.report()["results"][0]["findings"]
    assert "the waiver of PAY001 expired on 2020-01-01" in done.out
