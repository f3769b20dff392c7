"""What the gate writes down: the plan, and what it says about each change."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from holdtrue.gate.canonical import digest
from holdtrue.gate.state import Model, Rendered, State


class Need(StrEnum):
    """Why an approval is needed."""

    MIGRATIONS = "migrations"
    MONEY = "money"
    PERMISSIONS = "permissions"
    PUBLIC = "public"
    TENANCY = "tenancy"
    PROMISES = "promises"
    """Less is promised, or less of it is rehearsed."""
    REHEARSAL = "rehearsal"
    """What is rehearsed is not what was."""
    PROCESS = "process"
    """Commands and environment of the app."""
    MODULES = "modules"
    SIGNERS = "signers"


class Change(Model):
    """One difference to what was last admitted."""

    what: str
    was: str = ""
    now: str = ""
    need: Need | None = None
    why: str = ""


class Risk(Model):
    """What a statement may cost in production. It informs who approves; every migration needs an approval anyway."""

    kind: Literal["drop", "rewrite", "lock", "security", "data", "hidden"]
    statement: str
    why: str


class Pending(Model):
    """A revision that is to be applied."""

    revision: str
    rendered: Rendered
    risks: list[Risk]


class Plan(Model):
    """What would be deployed, against what was last admitted."""

    schema_: Annotated[Literal["holdtrue/plan/1"], Field(alias="schema")] = "holdtrue/plan/1"
    made_with: str
    """The version of holdtrue."""
    until: date
    """The last day on which it may be approved, admitted and applied."""
    base: str | None
    """The digest of the admission it starts from; None when nothing was admitted yet."""
    before: State | None
    state: State
    digests: dict[str, str]
    changes: list[Change]
    pending: list[Pending]

    @property
    def digest(self) -> str:
        """What is signed."""
        return digest(self.as_json())

    @property
    def needs(self) -> dict[Need, list[Change]]:
        """Why approvals are needed, and by what."""
        found: dict[Need, list[Change]] = {}
        for each in self.changes:
            if each.need is not None:
                found.setdefault(each.need, []).append(each)
        return found

    @property
    def signers(self) -> str:
        """Whose approval counts: who was listed when the base was admitted; at the first time, who is listed now."""
        return (self.before or self.state).signers
