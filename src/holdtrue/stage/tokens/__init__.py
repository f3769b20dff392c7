"""What the stage knows of an app's credentials: which they are, which are JWTs, and what signs them."""

from holdtrue.stage.tokens.credentials import MailedKind, captures_of, carried, filled_with, mailed_kinds
from holdtrue.stage.tokens.jws import Jws, read_jws
from holdtrue.stage.tokens.keys import SigningKey, signing_key_of
from holdtrue.stage.tokens.published import public_forms

__all__ = [
    "Jws",
    "MailedKind",
    "SigningKey",
    "captures_of",
    "carried",
    "filled_with",
    "mailed_kinds",
    "public_forms",
    "read_jws",
    "signing_key_of",
]
