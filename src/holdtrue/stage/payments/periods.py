"""Billing periods: calendar months and years from an anchor, in UTC, as Stripe counts them."""

import calendar
from datetime import UTC, datetime, timedelta

from holdtrue.stage.payments.store import Resource

_DAYS = {"day": 1, "week": 7}


def end(anchor: int, start: int, recurring: Resource) -> int:
    """The end of the period that begins at `start`; anchored on the 31st, a short month ends on its last day."""
    steps = 1
    while (moment := _after(anchor, recurring, steps)) <= start:
        steps += 1
    return moment


def _after(anchor: int, recurring: Resource, steps: int) -> int:
    count = recurring["interval_count"] * steps
    begin = datetime.fromtimestamp(anchor, UTC)
    if recurring["interval"] in _DAYS:
        return int((begin + timedelta(days=_DAYS[recurring["interval"]] * count)).timestamp())
    months = count * (12 if recurring["interval"] == "year" else 1)
    year, month = divmod(begin.year * 12 + begin.month - 1 + months, 12)
    day = min(begin.day, calendar.monthrange(year, month + 1)[1])
    return int(begin.replace(year=year, month=month + 1, day=day).timestamp())
