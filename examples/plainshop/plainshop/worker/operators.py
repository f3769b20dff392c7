"""What has been given up, and a second chance for it."""

from datetime import timedelta

from sqlalchemy import delete, select, update

from plainshop.db import Database
from plainshop.models import MailJob, RateCounter, Refund
from plainshop.models.base import now


def list_dead(database: Database) -> list[str]:
    with database.system() as session:
        mails = session.scalars(select(MailJob).where(MailJob.status == "dead").order_by(MailJob.created_at))
        refunds = session.scalars(select(Refund).where(Refund.status == "dead").order_by(Refund.created_at))
        rows = [(f"mail {row.kind}", row) for row in mails] + [("refund", row) for row in refunds]
        return [f"{what} {row.id} shop {row.shop_id}: {row.last_error}" for what, row in rows]


def requeue_dead(database: Database) -> int:
    """All dead mails and refunds are due at once, with their attempts counted anew. Refunds keep their key."""
    revived: dict[str, object] = {"attempts": 0, "due_at": now(), "last_error": None}
    with database.system() as session:
        mails = update(MailJob).where(MailJob.status == "dead").values(status="pending", **revived)
        refunds = update(Refund).where(Refund.status == "dead").values(status="queued", **revived)
        connection = session.connection()
        return connection.execute(mails).rowcount + connection.execute(refunds).rowcount


def prune_counters(database: Database) -> bool:
    with database.plain() as session:
        session.execute(delete(RateCounter).where(RateCounter.window_start < now() - timedelta(days=2)))
    return False
