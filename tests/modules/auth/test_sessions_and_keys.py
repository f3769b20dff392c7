"""Sessions one can see and end, and API keys of a tenant."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from modules.auth.house import Town, bearer

TENANT = UUID("00000000-0000-4000-8000-00000000000a")
OTHER = UUID("00000000-0000-4000-8000-00000000000b")


async def sessions(town: Town, token: str) -> list[dict[str, Any]]:
    answer = await town.get("/auth/sessions", token)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def delete(town: Town, path: str, token: str) -> httpx.Response:
    return await town.kit.client.delete(path, headers=bearer(token))


async def test_one_sees_ones_own_sessions_and_ends_one(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    eve = await town.member("eve@example.test", OTHER)
    other = (
        await town.post(
            "/auth/sign-in", {"User-Agent": "Phone/1.0"}, email="ada@example.test", password="a long enough password"
        )
    ).json()
    listed = await sessions(town, ada["access_token"])
    assert [(each["current"], each["agent"]) for each in listed[:2]] == [
        (False, "Phone/1.0"),
        (True, listed[1]["agent"]),
    ]
    theirs = f"/auth/sessions/{other['session_id']}"
    assert (await delete(town, theirs, eve["access_token"])).status_code == 404
    assert (await delete(town, theirs, ada["access_token"])).status_code == 204
    assert (await delete(town, theirs, ada["access_token"])).status_code == 404
    assert (await town.post("/auth/refresh", refresh_token=other["refresh_token"])).status_code == 401
    assert [row["tenant"] for row in await town.audited("auth.signed_out")] == [TENANT]


async def test_an_ended_session_is_refused_at_once_where_a_route_asks_and_soon_everywhere(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    assert (await town.get("/house/vault", ada["access_token"])).status_code == 200
    assert (await town.post("/auth/sign-out", refresh_token=ada["refresh_token"])).status_code == 204
    assert (await town.get("/house/vault", ada["access_token"])).status_code == 401
    assert (await town.get("/auth/sessions", ada["access_token"])).status_code == 401
    assert (await town.get("/house", ada["access_token"])).status_code == 200
    town.clock.forward(seconds=305)
    assert (await town.get("/house", ada["access_token"])).status_code == 401


@pytest.mark.parametrize("environ", [{"AUTH_LIVE_SESSIONS": "true"}], indirect=True)
async def test_with_live_sessions_an_ended_session_is_refused_at_once_everywhere(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    assert (await town.get("/house", ada["access_token"])).status_code == 200
    await town.post("/auth/sign-out", refresh_token=ada["refresh_token"])
    assert (await town.get("/house", ada["access_token"])).status_code == 401


async def test_signing_out_everywhere_ends_every_session(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    other = (await town.sign_in("ada@example.test")).json()
    assert (await delete(town, "/auth/sessions", ada["access_token"])).status_code == 204
    for pair in (ada, other):
        assert (await town.post("/auth/refresh", refresh_token=pair["refresh_token"])).status_code == 401


async def test_signing_out_with_an_unknown_token_tells_nothing(town: Town) -> None:
    assert (await town.post("/auth/sign-out", refresh_token="unknown")).status_code == 204


async def make_key(town: Town, token: str, *scopes: str, **more: Any) -> httpx.Response:
    return await town.post("/auth/keys", bearer(token), name="robot", scopes=list(scopes), **more)


async def test_a_key_opens_what_its_scopes_say_in_its_tenant_until_it_is_revoked(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    made = (await make_key(town, ada["access_token"], "house.read")).json()
    assert made["key"].startswith(f"{made['prefix']}.")
    assert (await town.get("/house", made["key"])).json() == {"kind": "key", "tenant": str(TENANT)}
    assert (await town.post("/house", bearer(made["key"]))).status_code == 403
    listed = (await town.get("/auth/keys", ada["access_token"])).json()["items"]
    assert [(each["prefix"], "key" in each) for each in listed] == [(made["prefix"], False)]
    assert (await delete(town, f"/auth/keys/{made['id']}", ada["access_token"])).status_code == 204
    assert (await town.get("/house", made["key"])).status_code == 401
    assert len(await town.audited("auth.api_key_created")) == len(await town.audited("auth.api_key_revoked")) == 1


async def test_a_key_of_another_tenant_is_neither_seen_nor_revoked(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    eve = await town.member("eve@example.test", OTHER)
    made = (await make_key(town, ada["access_token"], "house.read")).json()
    assert (await delete(town, f"/auth/keys/{made['id']}", eve["access_token"])).status_code == 404
    assert (await town.get("/auth/keys", eve["access_token"])).json() == {"items": []}
    assert (await town.get("/house", made["key"])).status_code == 200


async def test_a_key_is_never_wider_than_its_maker_and_makes_no_keys(town: Town) -> None:
    ada = await town.sign_up("ada@example.test")
    await town.join(ada["user_id"], TENANT, "house.read auth.keys")
    ada = (await town.sign_in("ada@example.test")).json()
    wide = await make_key(town, ada["access_token"], "house.read", "house.write")
    assert (wide.status_code, wide.json()["code"]) == (403, "auth.too_wide")
    made = (await make_key(town, ada["access_token"], "house.read", "auth.keys")).json()
    child = await make_key(town, made["key"], "house.read")
    assert (child.status_code, child.json()["code"]) == (403, "auth.people_only")
    assert (await town.get("/auth/sessions", made["key"])).status_code == 403
    narrow = (await town.sign_in("ada@example.test", scope="auth.keys")).json()
    assert (await make_key(town, narrow["access_token"], "house.read")).status_code == 403


async def test_who_leaves_the_tenant_leaves_no_key_behind(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    made = (await make_key(town, ada["access_token"], "house.read")).json()
    assert (await town.get("/house", made["key"])).status_code == 200
    await town.kit.sql("UPDATE house_members SET permissions = 'auth.keys'")
    assert (await town.get("/house", made["key"])).status_code == 403
    await town.kit.sql("DELETE FROM house_members")
    assert (await town.get("/house", made["key"])).status_code == 403


async def test_a_key_expires_and_a_wrong_secret_opens_nothing(town: Town) -> None:
    ada = await town.member("ada@example.test", TENANT)
    made = (await make_key(town, ada["access_token"], "house.read", days=1)).json()
    wrong = [
        made["prefix"],
        f"{made['prefix']}.",
        f"{made['prefix']}.wrong",
        f"{made['key']}x",
        "htk_",
        "htk_.",
        "htk_x.y",
    ]
    assert {(await town.get("/house", key)).status_code for key in wrong} == {401}
    assert (await town.kit.client.get("/house", params={"access_token": made["key"]})).status_code == 401
    assert (await town.kit.client.get("/house", headers={"Authorization": f"Basic {made['key']}"})).status_code == 401
    town.clock.forward(days=1)
    assert (await town.get("/house", made["key"])).status_code == 401
    assert (await delete(town, f"/auth/keys/{uuid4()}", ada["access_token"])).status_code == 401
