"""Recognises live credentials of payment, mail and cloud providers by the shape their makers gave them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The form of one provider's live credential."""

    what: str
    pattern: re.Pattern[str]


def _shape(what: str, pattern: str) -> Shape:
    return Shape(what=what, pattern=re.compile(rf"(?<![0-9A-Za-z_]){pattern}"))


# Webhook secrets (whsec_) and publishable keys (pk_live_) can start nothing by themselves; test keys are welcome.
SHAPES = (
    _shape("a live Stripe secret key", r"sk_live_([0-9A-Za-z]{16,})"),
    _shape("a live Stripe restricted key", r"rk_live_([0-9A-Za-z]{16,})"),
    _shape("a SendGrid key", r"SG\.([\w-]{16,32}\.[\w-]{32,64})"),
    _shape("a Resend key", r"re_([0-9A-Za-z]{8}_[0-9A-Za-z]{20,32})(?![0-9A-Za-z_])"),
    _shape("a Mailgun key", r"key-([0-9a-f]{32})(?![0-9A-Za-z])"),
    _shape("a Brevo key", r"xkeysib-([0-9a-f]{64}-[0-9A-Za-z]{16})"),
    _shape("an AWS access key id", r"(?:AKIA|ASIA)([0-9A-Z]{16})(?![0-9A-Za-z])"),
    _shape("a live Square token", r"sq0atp-([\w-]{22})"),
)

# Postmark's token is a bare UUID: only the variable's name tells. POSTMARK_API_TEST is its documented test token.
_POSTMARK_NAME = re.compile(r"POSTMARK.*(TOKEN|KEY)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUICK = re.compile(r"[sr]k_live_|SG\.|re_|key-|xkeysib-|AKIA|ASIA|sq0atp-")


def live_credential(text: str) -> str | None:
    """What kind of live credential the text contains, or None. Placeholders (``sk_live_xxxxxxxx…``) are none."""
    if not _QUICK.search(text):
        return None
    for shape in SHAPES:
        for match in shape.pattern.finditer(text):
            if not _is_placeholder(match[1]):
                return shape.what
    return None


def live_variable(name: str, value: str) -> str | None:
    """Like ``live_credential``, for a variable whose name may tell more than its value."""
    if _POSTMARK_NAME.search(name) and _UUID.fullmatch(value.strip()) and not _is_placeholder(value):
        return "a Postmark token"
    return live_credential(value)


def _is_placeholder(body: str) -> bool:
    """A row of one or two characters, or one that says so. AWS documents its keys with the ending EXAMPLE."""
    return len(set(body.lower()) - set("-_.")) < 5 or "example" in body.lower()
