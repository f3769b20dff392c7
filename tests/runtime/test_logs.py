"""Log lines are JSON, with the ids of what they are about and without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from tower.notes import Notes

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Postgres, running
from holdtrue.runtime.logs import JsonLines, redacted


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://app:hunter2hunter2@db/x",
        "Authorization: Bearer abcdef0123456789",
        "key sk_live_abcdef0123456789",
        "whsec_abcdef0123456789",
        "token=abcdef0123456789",
        'password": "abcdef0123456789"',
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
    ],
)
@pytest.mark.parametrize("cased", [str, str.upper])
def test_what_looks_like_a_secret_is_not_written(secret: str, cased: Callable[[str], str]) -> None:
    told = redacted(f"before {cased(secret)} after")
    assert "[redacted]" in told
    assert not [each for each in ("hunter2hunter2", "abcdef0123456789", "c2lnbmF0dXJl") if cased(each) in told]
    assert told.startswith("before ")
    assert told.endswith(" after")


def test_ordinary_words_are_written() -> None:
    assert redacted("the token of order 17 was used by ann@a.test") == "the token of order 17 was used by ann@a.test"


async def test_an_answer_is_logged_with_request_tenant_and_principal(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="holdtrue.runtime.web.envelope")
    tenant = "00000000-0000-0000-0000-00000000000a"
    headers = {"X-Principal": "ann", "X-Tenant": tenant, "X-Permissions": "notes.read"}
    async with running(compose(Notes(), Doors()), postgres) as kit:
        answer = await kit.client.get(f"/notes/{tenant}", headers=headers)
    [record] = [each for each in caplog.records if each.getMessage() == "answered"]
    told = json.loads(JsonLines().format(record))
    assert told["request_id"] == answer.headers["x-request-id"]
    assert (told["tenant"], told["principal"], told["status"]) == (tenant, "ann", 404)
    assert (told["method"], told["route"]) == ("GET", "/notes/{note_id}")
