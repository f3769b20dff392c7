"""What auth promises: who somebody is, proved, and no longer than it is true."""

from __future__ import annotations

from datetime import timedelta

from holdtrue.contract import (
    Contract,
    Event,
    Guard,
    Job,
    Observe,
    Permission,
    Schedule,
    Secret,
    Table,
    Transform,
    Variable,
    global_table,
)
from holdtrue.modules.auth.mails import CHANGED_MAIL, CONFIRM_MAIL, KNOWN_MAIL, RESET_MAIL
from holdtrue.modules.auth.payloads import (
    ApiKeyCreated,
    ApiKeyRevoked,
    Arrival,
    ExtraClaims,
    LinkAsked,
    Nothing,
    PasswordChanged,
    RefreshTokenReused,
    SignedIn,
    SignedOut,
    SignedUp,
    SigningKeyRevoked,
    SigningUp,
    SignUpAsked,
)
from holdtrue.modules.auth.rehearsal import REHEARSAL, VARIABLES

KEYS = Permission(name="auth.keys", doc="see, make and revoke the API keys of the tenant")


SIGN_UP_ASKED = Guard(
    name="auth.sign_up_asked", payload=SignUpAsked, doc="before a sign-up mail: may refuse, for what is not a secret"
)
SIGNING_UP = Guard(
    name="auth.signing_up",
    payload=SigningUp,
    doc="in the transaction that makes a user: may refuse, make a tenant of the details, and enter it",
)
EXTRA_CLAIMS = Transform(name="auth.extra_claims", payload=ExtraClaims, doc="adds claims to an access token")
ARRIVED = Observe(name="auth.arrived", payload=Arrival, doc="after a sign-in: tell the person, look for odd places")

SIGNED_UP = Event(name="auth.signed_up", payload=SignedUp, audited=True, subject="user_id")
SIGNED_IN = Event(name="auth.signed_in", payload=SignedIn, audited=True, subject="user_id")
SIGNED_OUT = Event(name="auth.signed_out", payload=SignedOut, audited=True, subject="user_id", required=False)
PASSWORD_CHANGED = Event(name="auth.password_changed", payload=PasswordChanged, audited=True, subject="user_id")
REFRESH_TOKEN_REUSED = Event(
    name="auth.refresh_token_reused",
    payload=RefreshTokenReused,
    audited=True,
    subject="session_id",
    required=False,
    doc="an exchanged token came again: one of two holders is a thief, and the session was ended",
)
API_KEY_CREATED = Event(name="auth.api_key_created", payload=ApiKeyCreated, audited=True, subject="key_id")
API_KEY_REVOKED = Event(
    name="auth.api_key_revoked", payload=ApiKeyRevoked, audited=True, subject="key_id", required=False
)
SIGNING_KEY_REVOKED = Event(name="auth.signing_key_revoked", payload=SigningKeyRevoked, audited=True, subject="key_id")

SEND_LINK = Job(name="auth.send_link", payload=LinkAsked, doc="finds out what is owed to the address, and mails it")
ROTATE_KEYS = Job(name="auth.rotate_keys", payload=Nothing, doc="publishes the next signing key in time")
REVOKE_KEYS = Job(
    name="auth.revoke_signing_keys",
    payload=Nothing,
    doc="a private key or the secret key is out: refuses every access token, and signs with a new key at once",
)
TIDY = Job(name="auth.tidy", payload=Nothing, doc="forgets what has expired")

CONTRACT = Contract(
    name="auth",
    version="1.0.0",
    doc="Sign-up with a proved address, sessions, access tokens, API keys.",
    permissions=(KEYS,),
    events=(
        SIGNED_UP,
        SIGNED_IN,
        SIGNED_OUT,
        PASSWORD_CHANGED,
        REFRESH_TOKEN_REUSED,
        API_KEY_CREATED,
        API_KEY_REVOKED,
        SIGNING_KEY_REVOKED,
    ),
    hooks=(SIGN_UP_ASKED, SIGNING_UP, EXTRA_CLAIMS, ARRIVED),
    jobs=(SEND_LINK, ROTATE_KEYS, REVOKE_KEYS, TIDY),
    schedules=(
        Schedule(job=ROTATE_KEYS, every=timedelta(hours=1)),
        Schedule(job=TIDY, every=timedelta(hours=1)),
    ),
    mails=(CONFIRM_MAIL, KNOWN_MAIL, RESET_MAIL, CHANGED_MAIL),
    tables=(
        global_table("auth_users", "a person may be in several tenants"),
        global_table("auth_networks", "belongs to a person"),
        global_table("auth_sessions", "belongs to a person"),
        global_table("auth_refresh_tokens", "belongs to a person's session"),
        global_table("auth_links", "mailed before anybody is in a tenant"),
        global_table("auth_signing_keys", "one issuer for all tenants"),
        global_table("auth_counters", "counts attempts of people who are nobody yet"),
        Table(name="auth_api_keys"),
    ),
    secrets=(
        Secret(name="AUTH_SECRET_KEY", doc="encrypts private signing keys and lost answers", rehearse="{secret:auth}"),
    ),
    variables=tuple(Variable(name=name, rehearse=value) for name, value in VARIABLES.items()),
    guarantees=("AUTH001", "AUTH016"),
    rehearsal=REHEARSAL,
)
