"""Sees a case through the instruments, and tells its evidence: statements, cuts, provider calls, mails."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from holdtrue.stage.evidence import Evidence
from holdtrue.stage.mail import MailServer
from holdtrue.stage.mail.attempts import Attempt, Outcome
from holdtrue.stage.payments import Call, StripeDouble
from holdtrue.stage.payments.calls import redacted
from holdtrue.stage.wire import Recording, Statement, Wire

_LONGEST_SQL = 2_000
_ENDS_OF_TRANSACTIONS = ("begin", "commit", "rollback", "rollback_to")
_UNFINISHED = (Outcome.OPEN, Outcome.DELIVERED)


class Witness:
    """Of one stage; what it has seen is told once."""

    def __init__(
        self, wire: Wire, payments: StripeDouble, mail: MailServer, is_background: Callable[[Statement], bool]
    ) -> None:
        self._wire = wire
        self._payments = payments
        self._mail = mail
        self._is_background = is_background
        self._recording: Recording | None = None
        self._evidence = Evidence()
        self._since = 0.0

    def begin(self) -> Evidence:
        """Return the evidence of a new case; what happens from now on belongs to it."""
        self.end()
        self._recording = self._wire.record().__enter__()
        self._evidence = Evidence(gather=self.gather)
        self._since = self._evidence.began
        return self._evidence

    def end(self) -> None:
        """Look away."""
        if self._recording is not None:
            self._recording.__exit__(None, None, None)
            self._recording = None

    def gather(self) -> None:
        """Tell what was seen since the last time; before the instruments forget it, as they do in a reset."""
        if self._recording is None:
            return
        since, self._since = self._since, time.monotonic()
        statements, self._recording.statements[:] = list(self._recording.statements), []
        for statement in statements:
            if _is_telling(statement) and not self._is_background(statement):
                self._evidence.add("statement", **_statement(statement))
        incidents, self._recording.incidents[:] = list(self._recording.incidents), []
        for incident in incidents:
            kind = "cut" if incident.what.startswith("cut") else incident.what
            when = {"when": incident.what.removeprefix("cut ")} if kind == "cut" else {}
            self._evidence.add(
                kind, moment=incident.at, process=incident.process, connection=incident.connection, **when,
                sql=incident.sql[:_LONGEST_SQL],
            )  # fmt: skip
        for call in self._payments.calls:
            if call.began >= since:
                self._evidence.add("provider_call", **_call(call))
        began = datetime.now(UTC) - timedelta(seconds=time.monotonic() - since)
        for mail in self._mail.mails:
            if mail.at >= began:
                moment = since + (mail.at - began).total_seconds()
                self._evidence.add("mail", moment=moment, recipients=list(mail.recipients), subject=mail.subject)
        for attempt in self._mail.attempts:
            if attempt.at >= began and attempt.outcome not in _UNFINISHED:
                self._evidence.add("mail_refused", **_attempt(attempt, since + (attempt.at - began).total_seconds()))


def _is_telling(statement: Statement) -> bool:
    """Whether a reader wants to know: not pings, settings and what a driver asks about types."""
    return statement.is_point or statement.kind in _ENDS_OF_TRANSACTIONS or statement.sqlstate is not None


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "moment": statement.at,
        "took": round(statement.took, 4),
        "process": statement.process,
        "connection": statement.connection,
        "transaction": statement.transaction,
        "sort": statement.kind,
        "writes": statement.writes,
        "sql": statement.sql[:_LONGEST_SQL],
        "tag": statement.tag,
        "answered": statement.answered,
        "sqlstate": statement.sqlstate,
        "message": statement.message,
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "moment": call.began,
        "request": f"{call.method} {call.path}",
        "parameters": redacted(call.parameters),
        "idempotency_key": call.idempotency_key,
        "status": call.status,
        "replayed": call.replayed,
        "delivered": call.delivered,
    }


def _attempt(attempt: Attempt, moment: float) -> dict[str, Any]:
    return {
        "moment": moment,
        "phase": attempt.phase.value,
        "outcome": attempt.outcome.value,
        "recipients": list(attempt.recipients),
        "reply": attempt.replies[-1] if attempt.replies else None,
    }
