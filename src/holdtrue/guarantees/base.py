"""What a guarantee is made of: a promise, its proof, and the words that explain both (DESIGN §3)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import cleandoc

from holdtrue.contract.document import Document
from holdtrue.contract.words import Place, Severity
from holdtrue.stage import Stage
from holdtrue.stage.survey.sources import Sources

HEADINGS = ("What production does", "Why apps break here", "Wrong", "Right")


@dataclass(frozen=True, kw_only=True)
class Harm:
    """What a case saw, or a rule read, that must not happen."""

    seen: str
    """One or two sentences a founder understands: what was done, and what the app did."""
    where: str
    """Route, table, revision or journey."""
    clause: tuple[str, ...] = ()
    """The path of the promise in the document, such as ``("routes", "GET /orders", "permission")``."""
    source: str = ""
    """Of a rule: file and line in the app, such as ``alembic/versions/0002.py:14``."""
    suspect: bool = False
    """Of a rule: it nominates only, as source and document do not decide it. Such a harm breaks no verdict."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that is tried. Playing it again must be possible at any time: it resets the stage itself."""

    name: str
    play: Callable[[], Awaitable[Harm | None]]
    cause: str
    """Cases with the same cause make one finding."""


@dataclass(frozen=True, kw_only=True)
class Untried:
    """A subject whose positive twin failed, so that a refusal would prove nothing; or what a rule could not read."""

    subject: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Unsampled:
    """Cases that exist beside the sample that is tried; the report says how many."""

    count: int


@dataclass(frozen=True, kw_only=True)
class Absent:
    """The running app has no such thing (its tokens are no JWTs, no mail of it has HTML): nothing is promised.

    It counts only where nothing was tried; whoever yields it has looked at the app, not at the document alone.
    """

    reason: str


Tried = Case | Untried | Unsampled | Absent
Rehearsal = Callable[[Stage], AsyncIterator[Tried]]
Read = Harm | Untried | Absent
Rule = Callable[[Sources, Document], Iterable[Read]]
"""Reads the app's files before anything is started. Nothing read is a promise kept, as far as source decides it."""


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """One promise and its proof. Everything a person reads of it derives from here."""

    doc: str | None
    """The module's docstring: the title, then the four headings."""
    code: str
    catalogue: str
    """The item of the fault catalogue it answers, such as ``P11``."""
    severity: Severity
    promise: str
    why: str
    """Why breaking it costs money or trust."""
    do: str
    do_not: str
    """The tempting wrong fix."""
    subjects: Callable[[Document], Sequence[str]]
    """What in the document makes the app promise this; empty means not promised."""
    rehearse: Rehearsal | None = None
    """Its proof by rehearsal. What a rule could not read counts only where there is none."""
    inspect: Rule | None = None
    """Its proof by rule. A harm and a case of one ``where`` and ``cause`` make one finding: the one that was proved."""
    staged: bool = True
    """Whether its proof needs the running app; what does not is proved beside the stages."""
    weight: int = 1
    """How long the proof takes compared to others; the heavy ones start first."""

    def __post_init__(self) -> None:
        if self.rehearse is None and self.inspect is None:
            raise ValueError(f"{self.code} has no proof: neither a rehearsal nor a rule")

    @property
    def place(self) -> Place:
        """Where it belongs, by its code's letters."""
        letters = re.sub(r"\d", "", self.code)
        return next(place for place in Place if place.prefix == letters)

    @property
    def title(self) -> str:
        """The bad pattern's name: the docstring's first line."""
        return cleandoc(self.doc or "").splitlines()[0].rstrip(".")

    @property
    def sections(self) -> dict[str, str]:
        """Heading → text of the docstring."""
        lines = cleandoc(self.doc or "").splitlines()
        sections: dict[str, list[str]] = {}
        current: list[str] = []
        for line in lines[1:]:
            if line in HEADINGS:
                current = sections.setdefault(line, [])
            elif not re.fullmatch(r"-{3,}", line):
                current.append(line)
        return {heading: "\n".join(text).strip("\n") for heading, text in sections.items()}
