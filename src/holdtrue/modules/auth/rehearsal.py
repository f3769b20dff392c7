"""How a rehearsal comes to be somebody here, and how it calls the routes with success."""

from __future__ import annotations

from holdtrue.contract import Call, Rehearsal
from holdtrue.contract.document import Ending, Inbox, Mail, Principal, Refresh, Request, Resource

VARIABLES = {
    "AUTH_PUBLIC_URL": "https://app.example.test",
    # A whole check takes longer than a token should live.
    "AUTH_ACCESS_SECONDS": "590",
    # Everybody in a rehearsal comes from one network.
    "AUTH_SIGN_INS_PER_NETWORK": "100000",
    "AUTH_SIGN_INS_PER_PERSON_AND_NETWORK": "100000",
    "AUTH_SIGN_INS_PER_PERSON": "100000",
    "AUTH_MAILS_PER_PERSON": "100000",
    "AUTH_MAILS_PER_NETWORK": "100000",
}
TOKENS = {"access_token": "access_token", "refresh_token": "refresh_token"}
TOKEN = r"#token=([A-Za-z0-9_-]+)"  # noqa: S105  (a pattern)


def signed_up(email: str, capture: dict[str, str]) -> list[Request | Inbox]:
    """The steps by which an address becomes somebody signed in."""
    return [
        Request(request="POST /auth/sign-up", json_={"email": email}),
        Inbox(mail=email, capture={"sign_up_token": TOKEN}),
        Request(
            request="POST /auth/sign-up/complete",
            json_={"token": "{sign_up_token}", "password": "{password}"},
            capture=capture,
        ),
    ]


def sign_in(email: str, capture: dict[str, str]) -> Request:
    """A sign-in of somebody who signed up before."""
    return Request(request="POST /auth/sign-in", json_={"email": email, "password": "{password}"}, capture=capture)


SIGN_UP = Call(json_={"email": "{unique}@new.test"})
COMPLETE = Call(
    before=signed_up("{unique}@completes.test", {})[:2], json_={"token": "{sign_up_token}", "password": "{password}"}
)
SIGN_IN = Call(json_={"email": "owner@{tenant}.test", "password": "{password}"})
WITH_REFRESH_TOKEN = Call(as_="owner", json_={"refresh_token": "{refresh_token}"})
FORGOT = Call(json_={"email": "owner@{tenant}.test"})
RESET = Call(
    before=[
        Request(request="POST /auth/forgot", json_={"email": "owner@{tenant}.test"}),
        Inbox(mail="owner@{tenant}.test", capture={"reset_token": TOKEN}),
    ],
    json_={"token": "{reset_token}", "password": "{password}"},
)
END_SESSION = Call(before=[sign_in("owner@{tenant}.test", {"session_id": "session_id"})], as_="owner")
CHANGE = Call(as_="owner", json_={"current": "{password}", "new": "{password}"})
NEW_KEY = Call(json_={"name": "Key {unique}", "scopes": ["auth.keys"]})

REHEARSAL = Rehearsal(
    arrival=Principal(
        steps=signed_up("{principal}@{tenant}.test", TOKENS), headers={"Authorization": "Bearer {access_token}"}
    ),
    resources={
        "api_key": Resource(
            as_="owner",
            steps=[
                Request(
                    request="POST /auth/keys",
                    json_={"name": "Key {canary}", "scopes": ["auth.keys"]},
                    capture={"key_id": "id"},
                )
            ],
        )
    },
    refresh=Refresh(
        principal="owner",
        login=[sign_in("owner@{tenant}.test", TOKENS)],
        step=Request(request="POST /auth/refresh", json_={"refresh_token": "{refresh_token}"}, capture=TOKENS),
        probe="GET /auth/sessions",
    ),
    endings={
        "signed_out": Ending(
            principal="owner",
            steps=[Request(request="POST /auth/sign-out", json_={"refresh_token": "{refresh_token}"})],
            probe="GET /auth/sessions",
        ),
        "signed_out_everywhere": Ending(
            principal="owner", steps=[Request(request="DELETE /auth/sessions", as_="owner")], probe="GET /auth/sessions"
        ),
        "password_reset": Ending(
            principal="owner",
            steps=[
                *RESET.before,
                Request(request="POST /auth/reset", json_={"token": "{reset_token}", "password": "{password}"}),
            ],
            probe="GET /auth/sessions",
        ),
    },
    mail={
        "sign_up": Mail(
            to="{unique}@new.test", cause=Request(request="POST /auth/sign-up", json_={"email": "{unique}@new.test"})
        ),
        "reset": Mail(
            to="owner@{tenant}.test", cause=Request(request="POST /auth/forgot", json_={"email": "owner@{tenant}.test"})
        ),
    },
)
