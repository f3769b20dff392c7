"""The words both towers share: places, outcomes, confidence, verdict (DESIGN §3, §7, §9)."""

from __future__ import annotations

from enum import StrEnum


class Place(StrEnum):
    """The six places where AI-built apps break, and ``core``: what the document itself leaves out."""

    AUTH = "auth"
    PAYMENTS = "payments"
    EMAIL = "email"
    AUDIT = "audit"
    TENANCY = "tenancy"
    RELEASES = "releases"
    CORE = "core"

    @property
    def prefix(self) -> str:
        """The letters a guarantee's code starts with."""
        return _PREFIXES[self]


_PREFIXES = {
    Place.AUTH: "AUTH",
    Place.PAYMENTS: "PAY",
    Place.EMAIL: "MAIL",
    Place.AUDIT: "AUD",
    Place.TENANCY: "TEN",
    Place.RELEASES: "REL",
    Place.CORE: "CORE",
}


class Outcome(StrEnum):
    """What became of one guarantee in one check."""

    KEPT = "kept"
    """Tried at least once, and its positive twin passed."""
    BROKEN = "broken"
    """Harm was observed."""
    NOT_RUN = "not_run"
    """Promised but not exercised; the reason says what is missing."""
    NOT_PROMISED = "not_promised"
    """The app has no such thing."""
    WAIVED = "waived"
    """Broken or not run, and accepted for now: reason, owner, expiry."""
    ERRORED = "errored"
    """The check itself failed. Never counted as success."""


class Verdict(StrEnum):
    """The outcome of a whole check."""

    HELD = "held"
    BROKEN = "broken"
    UNDECIDED = "undecided"


class Confidence(StrEnum):
    """How a finding is known."""

    PROVED = "proved"
    """A rehearsal did it."""
    CERTAIN = "certain"
    """Source and document decide it."""
    SUSPECT = "suspect"
    """A rule nominates; no rehearsal could convict. Never breaks a verdict."""


class Severity(StrEnum):
    """What a broken guarantee can cost."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Stability(StrEnum):
    """Whether a failure came again when it was rerun once in fresh processes."""

    DETERMINISTIC = "deterministic"
    FLAKY = "flaky"


def verdict(outcomes: list[Outcome]) -> Verdict:
    """Return *held* when every promised guarantee is kept or waived, *broken* when any is broken, else *undecided*.

    A check that tried nothing is undecided: silence is never success.
    """
    if Outcome.BROKEN in outcomes:
        return Verdict.BROKEN
    promised = [outcome for outcome in outcomes if outcome is not Outcome.NOT_PROMISED]
    if promised and all(outcome in (Outcome.KEPT, Outcome.WAIVED) for outcome in promised):
        return Verdict.HELD
    return Verdict.UNDECIDED
