"""The mail instrument: a real SMTP server on loopback that keeps what it is sent and misbehaves when told to."""

from holdtrue.stage.mail.attempts import Attempt, Outcome
from holdtrue.stage.mail.faults import Fault, Phase
from holdtrue.stage.mail.message import Mail, codes, extract, links
from holdtrue.stage.mail.server import Mailbox, MailServer
from holdtrue.stage.mail.waiting import MailTimeoutError

__all__ = [
    "Attempt",
    "Fault",
    "Mail",
    "MailServer",
    "MailTimeoutError",
    "Mailbox",
    "Outcome",
    "Phase",
    "codes",
    "extract",
    "links",
]
