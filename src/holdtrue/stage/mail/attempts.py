"""What each connection to the mail server came to."""

import enum
from dataclasses import dataclass, field
from datetime import datetime

from holdtrue.stage.mail.faults import Phase


class Outcome(enum.StrEnum):
    """How a connection's latest mail transaction stands, or ended."""

    OPEN = "open"  # under way, or held
    DELIVERED = "delivered"  # stored, and the client was given its 250
    REFUSED = "refused"  # the client was given a 4xx or 5xx
    DROPPED = "dropped"  # a fault cut the connection
    CUT = "cut"  # the server went down or stopped
    LEFT = "left"  # the client went away in the middle: it gave up or died


@dataclass(kw_only=True)
class Attempt:
    """One connection to the server, kept up to date while it lasts."""

    number: int
    at: datetime
    phase: Phase = Phase.CONNECT  # the latest phase reached
    outcome: Outcome = Outcome.OPEN
    ended: bool = False  # the connection is closed
    helo: str | None = None
    tls: bool = False
    login: str | None = None
    mail_from: str | None = None
    recipients: list[str] = field(default_factory=list)  # those accepted in the latest transaction
    replies: list[str] = field(default_factory=list)  # the refusals given, in order
    stored: list[int] = field(default_factory=list)  # numbers of the mails stored
    acknowledged: list[int] = field(default_factory=list)  # those of them whose client was given its 250
    error: str | None = None  # what a client's bytes made the server stumble over

    def __str__(self) -> str:
        refusals = f" ({self.replies[-1]})" if self.replies else ""
        return f"connection {self.number}: {self.outcome.value} at {self.phase.value}{refusals}"
