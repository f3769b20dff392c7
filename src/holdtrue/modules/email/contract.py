"""What the email module promises."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from holdtrue.contract import (
    Contract,
    Event,
    Job,
    MailTemplate,
    OutboundHost,
    Payload,
    Permission,
    Rehearsal,
    Schedule,
    Secret,
    SideEffect,
    Table,
    Variable,
)
from holdtrue.contract.document import Mail, Request, Resource

Reason = Literal["bounced", "complained", "rejected", "manual"]

READ = Permission(name="email.read", doc="see which mails went to whom, and what became of them")
MANAGE = Permission(name="email.manage", doc="suppress and release addresses, send a test mail")


class MailFailed(Payload):
    """A mail that will not arrive. ``reply``: phase and codes of the mail server."""

    mail_id: UUID
    template: str
    reply: str


class MailSuppressed(Payload):
    """A mail that was not sent, because its address does not want it, or does not exist."""

    mail_id: UUID
    template: str
    reason: Reason


class AddressSuppressed(Payload):
    """An address that gets no more mails; by id, so that no history holds it."""

    suppression_id: UUID
    reason: Reason


class AddressReleased(Payload):
    """An address that gets mails again."""

    suppression_id: UUID


class Owed(Payload):
    """A mail that waits to be sent."""

    mail_id: UUID


class Feedback(Payload):
    """What a provider tells of a mail; no address: the mail knows its own."""

    message_id: str
    kind: Literal["delivered", "bounced", "complained"]
    permanent: bool = False


class Nothing(Payload):
    """No payload."""


class Asked(Payload):
    """When a test mail was asked for."""

    asked_at: datetime


MAIL_FAILED = Event(name="email.mail_failed", payload=MailFailed, audited=True, required=False, subject="mail_id")
MAIL_SUPPRESSED = Event(
    name="email.mail_suppressed", payload=MailSuppressed, audited=True, required=False, subject="mail_id"
)
ADDRESS_SUPPRESSED = Event(
    name="email.address_suppressed", payload=AddressSuppressed, audited=True, required=False, subject="suppression_id"
)
ADDRESS_RELEASED = Event(name="email.address_released", payload=AddressReleased, audited=True, subject="suppression_id")
DELIVER = Job(
    name="email.deliver",
    payload=Owed,
    lane="mail",
    # Four to five days of backing off (RFC 5321, 4.5.4.1).
    attempts=48,
    unknown="retry",
    doc="hands one mail to the mail server",
)
FEEDBACK = Job(name="email.feedback", payload=Feedback, lane="mail_feedback", doc="what a provider told of a mail")
FORGET = Job(name="email.forget", payload=Nothing, lane="mail_feedback", doc="erases old texts and addresses")
TEST = MailTemplate(
    name="email.test",
    payload=Asked,
    subject="Test mail",
    text="This is a test mail, asked for at {{ asked_at.isoformat(timespec='seconds') }}.\n\n"
    "If you did not expect it, ignore it.\n",
)

SUPPRESS = Request(
    request="POST /email/suppressions",
    as_="owner",
    json_={"address": "{unique}.{canary}@suppressed.test"},
    capture={"suppression_id": "id"},
)

CONTRACT = Contract(
    name="email",
    version="1.0.0",
    doc="Mails are rendered and kept in the transaction that owes them, and sent afterwards until they arrive.",
    permissions=(READ, MANAGE),
    events=(MAIL_FAILED, MAIL_SUPPRESSED, ADDRESS_SUPPRESSED, ADDRESS_RELEASED),
    jobs=(DELIVER, FEEDBACK, FORGET),
    schedules=(Schedule(job=FORGET, every=timedelta(hours=6)),),
    tables=(
        Table(name="email_mails", unaudited="what is owed and what became of it; what owes it is audited"),
        Table(name="email_suppressions"),
    ),
    secrets=(
        Secret(name="EMAIL_SEAL_KEYS", doc="seal mails until they are sent", rehearse="{secret:email_seal}"),
        Secret(name="EMAIL_SMTP_PASSWORD", doc="the mail server's", rehearse="{secret:smtp}"),
        Secret(name="EMAIL_WEBHOOK_SECRETS", doc="sign what became of a mail", rehearse="{secret:email_webhook}"),
        Secret(name="EMAIL_RESEND_SECRETS", doc="Resend's signing secrets", rehearse="{secret:resend}"),
    ),
    variables=(
        Variable(name="EMAIL_SENDER", rehearse="Rehearsal <post@rehearsal.test>"),
        Variable(name="EMAIL_SMTP_HOST", rehearse="{smtp_host}"),
        Variable(name="EMAIL_SMTP_PORT", rehearse="{smtp_port}"),
        Variable(name="EMAIL_SMTP_SECURITY", rehearse="none"),
        Variable(name="EMAIL_SMTP_USERNAME", rehearse="rehearsal"),
    ),
    hosts=(OutboundHost(host="$EMAIL_SMTP_HOST", why="takes the mails"),),
    effects=(SideEffect(name="email.send", doc="a mail leaves; after a lost answer it may leave twice, as the same"),),
    mails=(TEST,),
    guarantees=("MAIL050", "MAIL051"),
    rehearsal=Rehearsal(
        resources={"suppression": Resource(as_="owner", steps=[SUPPRESS])},
        mail={
            "email_test": Mail(
                to="{unique}@tested.test",
                cause=Request(request="POST /email/tests", as_="owner", json_={"to": "{unique}@tested.test"}),
            )
        },
    ),
)
