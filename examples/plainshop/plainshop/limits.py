"""Counters in the database, so that every process counts the same. A window is fixed and starts with its first hit."""

import hashlib
from datetime import timedelta

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from plainshop.models import RateCounter
from plainshop.models.base import now


def within_limit(session: Session, what: str, limit: int, window: timedelta) -> bool:
    """Count one more of `what`; False when it is one too many. Keys are hashed: the table holds no addresses."""
    moment = now()
    fresh = insert(RateCounter).values(key=hashlib.sha256(what.encode()).digest(), window_start=moment, count=1)
    over = RateCounter.window_start < moment - window
    counted = fresh.on_conflict_do_update(
        index_elements=[RateCounter.key],
        set_={
            "count": case((over, 1), else_=RateCounter.count + 1),
            "window_start": case((over, moment), else_=RateCounter.window_start),
        },
    ).returning(RateCounter.count)
    return session.execute(counted).scalar_one() <= limit
