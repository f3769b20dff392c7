"""What can be bound: hooks, events and jobs, and the bindings that assembly orders.

A binding is a value, made with ``bind`` and listed where the app is composed, so that a reviewer sees it in a diff. A
bound function takes two arguments: what it works with (a ``UnitOfWork`` in the transaction, a ``Work`` after it), and
the payload. mypy rejects a wrong payload or result; assembly rejects them again, from the annotations.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from holdtrue.contract.errors import UsageError

P = TypeVar("P", bound=BaseModel)
Kind = Literal["guard", "transform", "observe", "event", "job"]

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class Payload(BaseModel):
    """What crosses a hook, an event, a job or a mail: immutable, and exactly the declared fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def qualified(name: str, what: str) -> None:
    """Names are ``module.thing``: two modules can then never mean different things by one name.

    Raises:
        UsageError: the name is not of that form.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} {name!r} is not a qualified name",
            why="A name without its module could be claimed twice.",
            do='Write "module.thing" in lower case, such as "orders.order_placed".',
        )


@dataclass(frozen=True, kw_only=True)
class Bindable(Generic[P]):
    """What hooks, events and jobs have in common."""

    name: str
    """``module.thing``; an event's is in the past tense."""
    payload: type[P]
    doc: str = ""
    """One sentence: when it happens, or what it decides."""

    kind: ClassVar[Kind]
    deferred: ClassVar[bool] = False
    """Runs after the commit, from the outbox, retried, with an idempotency key."""

    def __post_init__(self) -> None:
        qualified(self.name, self.kind)

    @property
    def module(self) -> str:
        """The module that offers it."""
        return self.name.partition(".")[0]

    @property
    def output(self) -> type[Any]:
        """What a bound function returns."""
        return type(None)


@dataclass(frozen=True, kw_only=True)
class Hook(Bindable[P]):
    """A place where a module lets others decide. Use ``Guard``, ``Transform`` or ``Observe``."""

    money: bool = False
    """A binding decides about money: adding, removing or changing one needs an approval."""


@dataclass(frozen=True, kw_only=True)
class Guard(Hook[P]):
    """May refuse by raising ``Refused``; runs in the transaction."""

    kind: ClassVar[Kind] = "guard"

    def bind(self, function: Callable[[Any, P], Awaitable[None]], *, after: tuple[str, ...] = ()) -> Binding:
        """``async def function(unit: UnitOfWork, payload: P) -> None``."""
        return Binding(target=self, function=function, after=after)


@dataclass(frozen=True, kw_only=True)
class Transform(Hook[P]):
    """Returns the payload, changed or not; runs in the transaction. Several bindings form a chain."""

    kind: ClassVar[Kind] = "transform"

    def bind(self, function: Callable[[Any, P], Awaitable[P]], *, after: tuple[str, ...] = ()) -> Binding:
        """``async def function(unit: UnitOfWork, payload: P) -> P``."""
        return Binding(target=self, function=function, after=after)

    @property
    def output(self) -> type[Any]:
        return self.payload


@dataclass(frozen=True, kw_only=True)
class Observe(Hook[P]):
    """Learns of something after the commit."""

    kind: ClassVar[Kind] = "observe"
    deferred: ClassVar[bool] = True

    def bind(self, function: Callable[[Any, P], Awaitable[None]], *, after: tuple[str, ...] = ()) -> Binding:
        """``async def function(work: Work, payload: P) -> None``."""
        return Binding(target=self, function=function, after=after)


@dataclass(frozen=True, kw_only=True)
class Event(Bindable[P]):
    """Something that happened. It commits with the change that it tells of, or not at all."""

    audited: bool = False
    """Leaves a row in the audit log, in the same transaction."""
    required: bool = True
    """A flow that declares it must emit it; ``False``: it may."""
    subject: str = ""
    """The payload's field that names what changed, for the audit log: ``order_id``."""

    kind: ClassVar[Kind] = "event"
    deferred: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.audited and self.subject not in self.payload.model_fields:
            raise UsageError(
                f"the audited event {self.name} names no subject"
                if not self.subject
                else f"{self.name}: no such field: {self.subject}",
                why="An audit row says what was changed.",
                do=f"Set subject to one of {sorted(self.payload.model_fields)}.",
            )

    def bind(self, function: Callable[[Any, P], Awaitable[None]], *, after: tuple[str, ...] = ()) -> Binding:
        """``async def function(work: Work, payload: P) -> None``: a consumer."""
        return Binding(target=self, function=function, after=after)


@dataclass(frozen=True, kw_only=True)
class Job(Bindable[P]):
    """Work for the worker, enqueued by ``unit.enqueue`` in the transaction. Exactly one binding does it."""

    lane: str = "default"
    """Jobs of one lane wait for each other only: one lane per dependency (``smtp``, ``stripe``)."""
    attempts: int = 12
    """After so many failures the work is a dead letter."""
    unknown: Literal["retry", "hold"] = "retry"
    """What becomes of work whose outcome nobody knows (the worker died, the provider did not answer): tried again with
    the same key, or held as ``unknown`` until somebody requeues it."""

    kind: ClassVar[Kind] = "job"
    deferred: ClassVar[bool] = True

    def bind(self, function: Callable[[Any, P], Awaitable[None]], *, after: tuple[str, ...] = ()) -> Binding:
        """``async def function(work: Work, payload: P) -> None``."""
        return Binding(target=self, function=function, after=after)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Enqueues a job at regular times, once for all workers; its payload has defaults for every field."""

    job: Job[Any]
    every: timedelta


@dataclass(frozen=True, kw_only=True)
class Binding:
    """A function bound to a hook, event or job. The order of several is the order of the list they stand in."""

    target: Bindable[Any]
    function: Callable[[Any, Any], Awaitable[Any]]
    after: tuple[str, ...] = ()
    """Names of bindings that must stand before this one: a wrong order in the list is refused, never repaired."""

    @property
    def name(self) -> str:
        """``package.module:function``; part of the outbox row, so renaming it loses what is under way."""
        return f"{self.function.__module__}:{getattr(self.function, '__qualname__', repr(self.function))}"
