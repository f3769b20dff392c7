"""The scene: everybody signed in, every resource made once in each tenant, frozen. Every case starts from it.

A rehearsal may go on from it a few steps and save where it then stands, so that its cases need not take them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdtrue.contract.document import Route
from holdtrue.stage.cast import Knowledge, Who
from holdtrue.stage.client import Answer
from holdtrue.stage.database import Catalog, Difference, Snapshot
from holdtrue.stage.mail import Mail, Mailbox
from holdtrue.stage.payments import Call as ProviderCall
from holdtrue.stage.payments import State
from holdtrue.stage.wire import Statement


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a reset goes back to."""

    database: str
    """The frozen database that clones are taken from."""
    catalog: Catalog
    rows: Snapshot
    knowledge: Knowledge
    payments: State
    mailbox: Mailbox
    origin: Scene | None = None
    """The saved state that this one lies on the way of; what has changed is told against that one."""

    @property
    def start(self) -> Scene:
        """What changes are told against."""
        return self.origin or self


@dataclass(frozen=True, kw_only=True)
class Twin:
    """How a route that was called as it is meant to be was answered, and what that did."""

    answer: Answer
    rows: Difference | None
    statements: tuple[Statement, ...] = ()
    """Up to the answer; what a worker does behind it is not among them."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A route made ready to be called: what had to happen before has happened."""

    key: str
    route: Route
    tenant: str
    principal: Who | None
    """The sender of the positive twin; nobody for a public route."""
    variables: Mapping[str, object]


@dataclass
class Seen:
    """What happened during a ``Stage.watch``; the lists grow while it lasts, the difference is there afterwards."""

    statements: list[Statement] = field(default_factory=list)
    calls: list[ProviderCall] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    rows: Difference | None = None
    mailed: float | None = None
    """When the first mail left, on the clock of the statements; from then on what was done cannot be undone."""
