"""What a check says while it runs. Writers listen; the engine does not know who does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdtrue.contract.report import Report, Result


@dataclass(frozen=True, kw_only=True)
class CheckStarted:
    """The document was read and the guarantees are chosen."""

    app: str
    directory: Path
    seed: int
    codes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StageProgress:
    """A step of setting the stage: installing, migrating, starting, signing in."""

    doing: str
    lane: int = 0


@dataclass(frozen=True, kw_only=True)
class GuaranteeStarted:
    """A proof begins."""

    code: str
    title: str
    lane: int = 0


@dataclass(frozen=True, kw_only=True)
class CaseTried:
    """One case of a proof was tried."""

    code: str
    case: str
    broken: bool


@dataclass(frozen=True, kw_only=True)
class GuaranteeDone:
    """A proof ended."""

    result: Result


@dataclass(frozen=True, kw_only=True)
class CheckDone:
    """The check ended; the report is written."""

    report: Report
    directory: Path
    """Where the report and the evidence are kept."""


Event = CheckStarted | StageProgress | GuaranteeStarted | CaseTried | GuaranteeDone | CheckDone
