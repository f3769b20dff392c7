"""One mail to the SMTP server. After a lost answer nobody knows whether it has it; the Message-ID stays the same."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime

from plainshop.mail import Written
from plainshop.models import MailJob
from plainshop.models.base import now
from plainshop.settings import Settings

log = logging.getLogger(__name__)


class Rejected(Exception):  # noqa: N818
    """The server will not have this mail, now or later (RFC 5321, 4.2.1)."""


def message(job: MailJob, text: Written, settings: Settings) -> EmailMessage:
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = settings.mail_from
    mail["To"] = job.recipient
    mail["Subject"] = text.subject
    mail["Date"] = format_datetime(now())
    mail["Message-ID"] = f"<{job.id}@{settings.mail_from.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text.plain, cte=_encoding(text.plain))
    mail.add_alternative(text.html, subtype="html", cte=_encoding(text.html))
    # The same at each attempt.
    mail.set_boundary(job.id.hex)
    return mail


def _encoding(text: str) -> str:
    """As it is where that may travel (RFC 5321, 4.5.3.1.6); quoted-printable, the default, would fold a long link."""
    return "7bit" if text.isascii() and max(len(line) for line in text.split("\n")) < 998 else "base64"


def deliver(mail: EmailMessage, recipient: str, settings: Settings) -> None:
    """Raises Rejected for a permanent refusal of this mail, smtplib.SMTPException or OSError for all else."""
    server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=20)
    try:
        if settings.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_username and settings.smtp_password:
            server.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        server.send_message(mail, from_addr=settings.mail_from, to_addrs=[recipient])
    except smtplib.SMTPRecipientsRefused as error:
        code = error.recipients[recipient][0]
        if code >= 500:
            raise Rejected(f"recipient refused: {code}") from error
        raise
    except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
        if error.smtp_code >= 500:
            raise Rejected(f"refused: {error.smtp_code}") from error
        raise
    finally:
        _leave(server)


def _leave(server: smtplib.SMTP) -> None:
    """What became of the mail is settled by now; `with smtplib.SMTP` would let a bad answer to QUIT overrule it."""
    try:
        server.quit()
    except (smtplib.SMTPException, OSError) as error:
        log.info("the mail server did not take leave: %s", type(error).__name__)
    finally:
        server.close()
