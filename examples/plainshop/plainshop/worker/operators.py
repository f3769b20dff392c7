"""What has been given up, and a second chance for it."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import delete, select, update

from plainshop.db import Database, enter_shop
from plainshop.models import MailJob, RateCounter, Refund
from plainshop.models.base import now
from plainshop.unit import WORKER, Unit


def list_dead(database: Database) -> list[str]:
    with database.system() as session:
        mails = session.scalars(select(MailJob).where(MailJob.status == "dead").order_by(MailJob.created_at))
        refunds = session.scalars(select(Refund).where(Refund.status == "dead").order_by(Refund.created_at))
        rows = [(f"mail {row.kind}", row) for row in mails] + [("refund", row) for row in refunds]
        return [f"{what} {row.id} shop {row.shop_id}: {row.last_error}" for what, row in rows]


def requeue_dead(database: Database) -> int:
    """All dead mails and refunds are due at once, with their attempts counted anew.

    Refunds keep their key and the time they were first sent: Stripe may have made them.
    """
    revived: dict[str, object] = {"attempts": 0, "due_at": now(), "last_error": None}
    run = f"requeue-{uuid4()}"
    with database.system() as session:
        mails = update(MailJob).where(MailJob.status == "dead").values(status="pending", **revived)
        refunds = update(Refund).where(Refund.status == "dead").values(status="queued", **revived)
        connection = session.connection()
        mail_count = connection.execute(mails).rowcount
        requeued = connection.execute(refunds.returning(Refund.shop_id, Refund.id, Refund.order_id)).all()
        for shop_id, refund_id, order_id in requeued:
            enter_shop(session, shop_id)
            unit = Unit(session=session, shop_id=shop_id, actor=WORKER, request_id=run)
            unit.record("refund.requeued", "refund", refund_id, order_id=str(order_id))
            # Before the next shop is entered: row-level security takes events of the current one only.
            session.flush()
        return mail_count + len(requeued)


def prune_counters(database: Database) -> bool:
    with database.plain() as session:
        session.execute(delete(RateCounter).where(RateCounter.window_start < now() - timedelta(days=2)))
    return False
