"""Auth's routes: parse, flow, response."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from holdtrue.contract import public, signed_in
from holdtrue.modules.auth import rehearsal
from holdtrue.modules.auth.contract import KEYS
from holdtrue.modules.auth.errors import PeopleOnly
from holdtrue.modules.auth.flows import api_keys, links, passwords, refresh, sessions, sign_in, sign_up
from holdtrue.modules.auth.flows.sessions import TokenPair, require_live
from holdtrue.modules.auth.flows.signing_keys import published_keys
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Router, Unit, UnitOfWork

# The HTML standard's pattern of an address, without dots at odd places: ASCII, no quotes, no spaces, no line ends.
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_ATEXT = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = rf"^{_ATEXT}(?:\.{_ATEXT})*@{_LABEL}(?:\.{_LABEL})*$"

Email = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=_EMAIL)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[\x21-\x7e]+$")]
Password = Annotated[SecretStr, Field(min_length=1, max_length=256)]
# ASVS 5.0, 6.2.1 and 6.2.9: long enough, and long ones are welcome.
NewPassword = Annotated[SecretStr, Field(min_length=10, max_length=256)]
ClientId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Scope = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,80}( [a-z0-9_.]{1,80}){0,63}$")]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Agent = Annotated[str, Header(alias="user-agent")]


class Body(BaseModel):
    """Unknown fields are refused: a role in a body is not overlooked, it is an error."""

    model_config = ConfigDict(extra="forbid")


class AddressIn(Body):
    email: Email


class CompletionIn(Body):
    token: Token
    password: NewPassword
    details: Annotated[dict[Annotated[str, StringConstraints(max_length=40)], Line], Field(max_length=20)] = {}
    """For the app: the name of the tenant to make, and such."""
    client_id: ClientId = "web"


class SignInIn(Body):
    email: Email
    password: Password
    tenant: UUID | None = None
    scope: Scope | None = None
    """Permissions that the session is to be narrowed to, separated by spaces."""
    client_id: ClientId = "web"


class RefreshIn(Body):
    refresh_token: Token
    scope: Scope | None = None
    client_id: ClientId = "web"


class SignOutIn(Body):
    refresh_token: Token


class ResetIn(Body):
    token: Token
    password: NewPassword


class ChangeIn(Body):
    current: Password
    new: NewPassword


class KeyIn(Body):
    name: Line
    scopes: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,80}$")]], Field(min_length=1, max_length=64)
    ]
    days: Annotated[int, Field(ge=1, le=365)] = 90


class SessionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    client_id: str
    tenant: UUID | None
    agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool = False


class KeyOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_by: UUID
    created_at: datetime
    expires_at: datetime


class NewKeyOut(KeyOut):
    key: str
    """Shown this once."""


class Items(BaseModel):
    items: list[SessionOut]


class Keys(BaseModel):
    items: list[KeyOut]


class Accepted(BaseModel):
    detail: str = "If the address is right, a mail is on its way."


async def _live(unit: Unit) -> UnitOfWork:
    await require_live(unit)
    return unit


async def _person(unit: Annotated[UnitOfWork, Depends(_live)]) -> UUID:
    if unit.context.principal.kind != "user":
        raise PeopleOnly("This is for people, not for keys.")
    return UUID(unit.context.principal.id)


LiveUnit = Annotated[UnitOfWork, Depends(_live)]
"""As ``Unit``, where an access token of a session that was ended a moment ago must already be refused."""
Person = Annotated[UUID, Depends(_person)]
router = Router(prefix="/auth", tags=("auth",))
well_known = Router(tags=("auth",))


@router.post("/sign-up", access=public("sign-up"), status=202, rehearse=rehearsal.SIGN_UP)
async def ask_sign_up(body: AddressIn, unit: Unit) -> Accepted:
    """Have a mail sent to sign up with. The answer is the same for every address."""
    await links.ask_sign_up(unit, body.email)
    return Accepted()


@router.post(
    "/sign-up/complete", access=public("the mailed token is the credential"), status=201, rehearse=rehearsal.COMPLETE
)
async def complete_sign_up(body: CompletionIn, unit: Unit, agent: Agent = "") -> TokenPair:
    """Become a user, with the token of the mail and a password."""
    return await sign_up.complete_sign_up(
        unit,
        token=body.token,
        password=body.password.get_secret_value(),
        details=body.details,
        client_id=body.client_id,
        agent=agent,
    )


@router.post("/sign-in", access=public("sign-in"), rehearse=rehearsal.SIGN_IN)
async def open_session(body: SignInIn, unit: Unit, agent: Agent = "") -> TokenPair:
    """Sign in; with a tenant, for that one."""
    attempt = sign_in.Attempt(
        email=body.email,
        password=body.password.get_secret_value(),
        client_id=body.client_id,
        tenant=body.tenant,
        scope=body.scope,
        agent=agent,
    )
    return await sign_in.sign_in(unit, attempt)


@router.post("/refresh", access=public("the refresh token is the credential"), rehearse=rehearsal.WITH_REFRESH_TOKEN)
async def renew(body: RefreshIn, unit: Unit) -> TokenPair:
    """Exchange a refresh token, once."""
    asked = refresh.Asked(token=body.refresh_token, client_id=body.client_id, scope=body.scope)
    return await refresh.refresh(unit, asked)


@router.post(
    "/sign-out",
    access=public("the refresh token is the credential"),
    status=204,
    rehearse=rehearsal.WITH_REFRESH_TOKEN,
)
async def sign_out(body: SignOutIn, unit: Unit) -> Response:
    """End the session of a refresh token."""
    await sessions.sign_out(unit, body.refresh_token)
    return Response(status_code=204)


@router.post("/forgot", access=public("who forgot the password cannot sign in"), status=202, rehearse=rehearsal.FORGOT)
async def ask_reset(body: AddressIn, unit: Unit) -> Accepted:
    """Have a mail sent to choose a new password with. The answer is the same for every address."""
    await links.ask_reset(unit, body.email)
    return Accepted()


@router.post("/reset", access=public("the mailed token is the credential"), status=204, rehearse=rehearsal.RESET)
async def reset(body: ResetIn, unit: Unit) -> Response:
    """Choose a new password; every session ends."""
    await passwords.reset_password(unit, token=body.token, password=body.password.get_secret_value())
    return Response(status_code=204)


@router.post("/password", access=signed_in(), status=204, rehearse=rehearsal.CHANGE)
async def change_password(body: ChangeIn, unit: Unit, _: Person) -> Response:
    """Change the password; other sessions end."""
    await passwords.change_password(unit, current=body.current.get_secret_value(), new=body.new.get_secret_value())
    return Response(status_code=204)


@router.get("/sessions", access=signed_in())
async def list_sessions(unit: Unit, person: Person) -> Items:
    """Where one is signed in."""
    rows = [SessionOut.model_validate(each) for each in await sessions.sessions_of(unit, person)]
    return Items(
        items=[row.model_copy(update={"current": str(row.id) == unit.context.principal.session}) for row in rows]
    )


@router.delete("/sessions/{session_id}", access=signed_in(), rehearse=rehearsal.END_SESSION)
async def end_session(session_id: UUID, unit: Unit, person: Person) -> Response:
    """Sign out in one place."""
    await sessions.end_session(unit, person, session_id)
    return Response(status_code=204)


@router.delete("/sessions", access=signed_in())
async def end_all_sessions(unit: Unit, person: Person) -> Response:
    """Sign out everywhere, here too."""
    await sessions.end_all_sessions(unit, person)
    return Response(status_code=204)


@router.get("/keys", access=KEYS)
async def list_keys(unit: LiveUnit) -> Keys:
    """The tenant's API keys, by prefix."""
    return Keys(items=[KeyOut.model_validate(each) for each in await api_keys.api_keys(unit)])


@router.post("/keys", access=KEYS, status=201, rehearse=rehearsal.NEW_KEY)
async def create_key(body: KeyIn, unit: LiveUnit) -> NewKeyOut:
    """Make an API key. The answer is the only place where it is ever shown."""
    made = await api_keys.create_api_key(unit, name=body.name, scopes=body.scopes, days=body.days)
    return NewKeyOut(**KeyOut.model_validate(made.row).model_dump(), key=made.key)


@router.delete("/keys/{key_id}", access=KEYS)
async def revoke_key(key_id: UUID, unit: LiveUnit) -> Response:
    """Revoke an API key."""
    await api_keys.revoke_api_key(unit, key_id)
    return Response(status_code=204)


@well_known.get("/.well-known/jwks.json", access=public("public keys, for whoever verifies our access tokens"))
async def jwks(unit: Unit, response: Response) -> dict[str, list[dict[str, Any]]]:
    """The key set (RFC 7517)."""
    response.headers["Cache-Control"] = f"public, max-age={unit.port(AuthPorts).settings.jwks_seconds}"
    return {"keys": await published_keys(unit)}
