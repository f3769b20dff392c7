"""The mails that auth owes: all of stream ``security``, none with anybody's free text in it."""

from __future__ import annotations

from holdtrue.contract import MailTemplate
from holdtrue.modules.auth.payloads import LinkMail, Notice

_IGNORE = "If it was not you, ignore this mail; nothing happens.\n"
CONFIRM_MAIL = MailTemplate(
    name="auth.confirm",
    payload=LinkMail,
    subject="Confirm your address for {{ site }}",
    text="Somebody, probably you, signs up at {{ site }} with this address.\n\n"
    f"Go on within {{{{ minutes }}}} minutes: {{{{ link }}}}\n\n{_IGNORE}",
    stream="security",
)
KNOWN_MAIL = MailTemplate(
    name="auth.known",
    payload=Notice,
    subject="You have an account at {{ site }}",
    text="Somebody, probably you, wanted to sign up at {{ site }} with this address. There is an account already.\n\n"
    f"Sign in, or ask for a new password: {{{{ link }}}}\n\n{_IGNORE}",
    stream="security",
)
RESET_MAIL = MailTemplate(
    name="auth.reset",
    payload=LinkMail,
    subject="Choose a new password for {{ site }}",
    text="Somebody, probably you, asked for a new password at {{ site }}.\n\n"
    f"Choose one within {{{{ minutes }}}} minutes: {{{{ link }}}}\n\n{_IGNORE}",
    stream="security",
)
CHANGED_MAIL = MailTemplate(
    name="auth.changed",
    payload=Notice,
    subject="Your password for {{ site }} was changed",
    text="The password of your account at {{ site }} was changed, and other devices were signed out.\n\n"
    "If it was not you, choose a new one at once: {{ link }}\n",
    stream="security",
)
