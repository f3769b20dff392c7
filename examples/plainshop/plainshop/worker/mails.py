import logging
import smtplib
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from plainshop.db import Database
from plainshop.mail import Reader, write
from plainshop.models import MailJob, Member, PasswordReset, Shop
from plainshop.models.base import now
from plainshop.settings import Settings
from plainshop.tokens import Tokens
from plainshop.worker.loops import next_attempt
from plainshop.worker.smtp import Rejected, deliver, message

log = logging.getLogger(__name__)


def send_next_mail(database: Database, settings: Settings, tokens: Tokens) -> bool:
    """Claim one due mail, send it outside any transaction, note the outcome. False when none is due."""
    job = _claim(database, settings)
    if job is None:
        return False
    try:
        reader = _prepare(database, settings, job)
        if reader is None:
            _note(database, job, status="dropped")
            return True
        mail = message(job, write(job, reader, settings, tokens), settings)
        deliver(mail, job.recipient, settings)
    except Rejected as error:
        _give_up(database, job, str(error))
    except (smtplib.SMTPException, OSError) as error:
        _try_again(database, settings, job, _described(error))
    except (LookupError, ValueError, TypeError) as error:
        # What cannot even be written will not improve by waiting.
        _give_up(database, job, f"cannot be written: {type(error).__name__}")
    except Exception as error:  # the item's edge: one nobody foresaw must not stop the others
        log.exception("mail %s failed in an unforeseen way", job.id)
        _try_again(database, settings, job, _described(error))
    else:
        _note(database, job, status="sent", sent_at=now())
    return True


def _claim(database: Database, settings: Settings) -> MailJob | None:
    """The lease is `due_at`: should we die, the mail is due again when it ends."""
    due = (MailJob.status == "pending") & (MailJob.due_at <= now())
    first = select(MailJob).where(due).order_by(MailJob.due_at).limit(1)
    with database.system() as session:
        job = session.scalar(first.with_for_update(skip_locked=True))
        if job is None:
            return None
        job.attempts += 1
        job.due_at = now() + timedelta(seconds=settings.worker_lease_seconds)
        session.flush()
        session.expunge(job)
        return job


def _prepare(database: Database, settings: Settings, job: MailJob) -> Reader | None:
    """None when there is nobody to write to."""
    with database.tenant(job.shop_id) as session:
        if job.kind == "password_reset" and not _open_reset(session, settings, job):
            return None
        member = (Member.shop_id == Shop.id) & (Member.email == job.recipient)
        about = select(Shop.name.label("shop"), Shop.slug, Member.name).outerjoin(Member, member)
        found = session.execute(about.where(Shop.id == job.shop_id)).one_or_none()
        return Reader(**found._asdict()) if found else None


def _open_reset(session: Session, settings: Settings, job: MailJob) -> bool:
    member_id = session.scalar(select(Member.id).where(Member.shop_id == job.shop_id, Member.email == job.recipient))
    if member_id is None:
        return False
    ends = now() + timedelta(minutes=settings.reset_minutes)
    reset = session.get(PasswordReset, (job.shop_id, job.id))
    if reset is None:
        session.add(PasswordReset(shop_id=job.shop_id, id=job.id, member_id=member_id, expires_at=ends))
    else:
        reset.expires_at = ends
    return True


def _try_again(database: Database, settings: Settings, job: MailJob, error: str) -> None:
    if job.attempts >= settings.worker_max_attempts:
        _give_up(database, job, error)
        return
    log.warning("mail %s: attempt %d failed: %s", job.id, job.attempts, error)
    _note(database, job, due_at=next_attempt(settings, job.attempts), last_error=error)


def _give_up(database: Database, job: MailJob, error: str) -> None:
    log.error("mail %s is dead after %d attempts: %s", job.id, job.attempts, error)
    _note(database, job, status="dead", last_error=error)


def _note(database: Database, job: MailJob, **values: str | datetime) -> None:
    """Only while the claim is ours: after a lapsed lease another worker's word counts."""
    ours = (MailJob.shop_id == job.shop_id) & (MailJob.id == job.id) & (MailJob.attempts == job.attempts)
    with database.tenant(job.shop_id) as session:
        session.execute(update(MailJob).where(ours, MailJob.status == "pending").values(**values))


def _described(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
