"""The JSON report: a published schema (DESIGN §7). The gate, agents and writers read the same one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from holdtrue.contract.words import Confidence, Outcome, Place, Severity, Stability, Verdict


class Model(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        # The attribute docstrings are the descriptions in the published JSON Schema.
        use_attribute_docstrings=True,
        defer_build=True,  # as in the document
    )


class Finding(Model):
    """One root cause, with proof."""

    code: str
    fingerprint: str
    """Stable over runs and line moves: code, place in the app and contract clause."""
    severity: Severity
    confidence: Confidence
    stability: Stability | None = None
    seen: str
    """What was observed."""
    where: str
    """Route, table, file or revision."""
    source: str = ""
    """Where the app's code has it: file and line. Known of a composed app's routes and tables."""
    clause: str = ""
    """The promise in the document: file, line, key."""
    why: str
    """Why that costs money or trust."""
    do: str
    do_not: str
    """The tempting wrong fix."""
    replay: str
    """The command that runs this proof again."""
    evidence: str = ""
    """The file that keeps requests, responses, statements, mails and row differences."""
    cases: list[str] = []
    """Every case that showed it."""
    waived: str = ""
    """Who accepted it, until when and why; it breaks no verdict then."""


class Result(Model):
    """What became of one guarantee."""

    code: str
    place: Place
    title: str
    outcome: Outcome
    confidence: Confidence | None = None
    reason: str = ""
    findings: list[Finding] = []
    tried: int = 0
    """Cases that ran."""
    possible: int = 0
    """Cases that exist, where that can be counted."""
    seconds: float = 0.0


class Summary(Model):
    kept: int = 0
    broken: int = 0
    not_run: int = 0
    not_promised: int = 0
    waived: int = 0
    errored: int = 0


class Reached(Model):
    total: int
    reached: int


class Coverage(Model):
    """What the rehearsals touched of what the app has."""

    routes: Reached
    out_of_scope: dict[str, str] = {}
    """Route or table → the reason it was left out; counted here so that nothing is left out in silence."""


class Report(Model):
    """The result of one check."""

    schema_: Annotated[Literal["holdtrue/report/1"], Field(alias="schema")] = "holdtrue/report/1"
    app: str
    outcome: Verdict
    narrowed: str = ""
    """The options that narrowed the check to some guarantees or cases; then the outcome says nothing about the rest."""
    summary: Summary
    coverage: Coverage
    results: list[Result]
    notes: list[str] = []
    """What weakens this check or its document: an expired waiver, a process without a guard on its connections."""
    noise: list[str] = []
    """Columns whose values were learned as noise: nothing in them was compared."""
    unmodelled: list[str] = []
    """What the app asked of a double that the double does not model."""
    egress: list[str] = []
    """Attempts to reach anything else; all were refused."""
    seed: int
    seconds: float
