"""The ``authenticator`` port: an access token or an API key, in ``Authorization: Bearer`` and nowhere else."""

from __future__ import annotations

from holdtrue.modules.auth.flows.api_keys import MARK, principal_of_key
from holdtrue.modules.auth.flows.sessions import require_live
from holdtrue.modules.auth.flows.signing_keys import verifying_key
from holdtrue.modules.auth.ports import AuthPorts
from holdtrue.runtime import Credentials, Principal, Unauthorized, UnitOfWork


async def authenticate(unit: UnitOfWork, credentials: Credentials) -> Principal | None:
    """Who sends a request; None where nobody says so.

    Raises:
        Unauthorized: the credential is not good, whatever is wrong with it.
    """
    scheme, _, credential = credentials.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    credential = credential.strip()
    if credential.startswith(MARK):
        return await principal_of_key(unit, credential)
    return await _principal_of_token(unit, credential)


async def _principal_of_token(unit: UnitOfWork, token: str) -> Principal:
    ports = unit.port(AuthPorts)
    key = await verifying_key(unit, ports.tokens.key_id(token))
    if key is None:
        raise Unauthorized
    claims = ports.tokens.read(token, key, unit.now())
    principal = Principal(
        kind="user",
        id=str(claims.user_id),
        tenant=claims.tenant,
        permissions=None if claims.scope is None else frozenset(claims.scope.split()),
        session=str(claims.session_id),
        email=claims.email,
    )
    if ports.settings.live_sessions:
        unit.identify(principal)
        await require_live(unit)
    return principal
