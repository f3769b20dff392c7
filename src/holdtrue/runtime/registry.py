"""What was composed, as the runtime needs it: who is bound to what, and who fills the ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from holdtrue.contract import Bindable, Binding, Event, Job, MailTemplate, Schedule
from holdtrue.runtime.ports import Authenticator, Mailer, Recorder, Tenants

EVENTS_LANE = "events"
"""Shared by consumers and observers; what depends on a provider is a job in a lane of its own."""


@dataclass(frozen=True, kw_only=True)
class Handler:
    """Who does a piece of work, found by the name in its row."""

    name: str
    function: Callable[[Any, Any], Awaitable[None]]
    payload: type[BaseModel]
    lane: str = EVENTS_LANE
    attempts: int = 12
    unknown: Literal["retry", "hold"] = "retry"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Made by assembly, after it refused what does not fit."""

    bindings: Mapping[str, tuple[Binding, ...]]
    """Target → its bindings, in order."""
    events: frozenset[Event[Any]]
    mails: frozenset[MailTemplate]
    permissions: frozenset[str] = frozenset()
    """All that the composed modules declare."""
    schedules: tuple[Schedule, ...] = ()
    authenticator: Authenticator | None = None
    tenants: Tenants | None = None
    mailer: Mailer | None = None
    recorder: Recorder | None = None
    handlers: Mapping[str, Handler] = field(init=False)

    def __post_init__(self) -> None:
        deferred = [each for bound in self.bindings.values() for each in bound if each.target.deferred]
        object.__setattr__(self, "handlers", {handler.name: handler for handler in map(_handler, deferred)})

    def bound_to(self, target: Bindable[Any]) -> tuple[Binding, ...]:
        """The bindings of a hook, event or job, in order."""
        return self.bindings.get(target.name, ())

    @property
    def lanes(self) -> frozenset[str]:
        """Every lane that has work."""
        return frozenset(handler.lane for handler in self.handlers.values())


def _handler(binding: Binding) -> Handler:
    target, name = binding.target, work_name(binding)
    if isinstance(target, Job):
        return Handler(
            name=name,
            function=binding.function,
            payload=target.payload,
            lane=target.lane,
            attempts=target.attempts,
            unknown=target.unknown,
        )
    return Handler(name=name, function=binding.function, payload=target.payload)


def work_name(binding: Binding) -> str:
    """What stands in a row of the outbox: a job has one binding, an event one row for each consumer."""
    return binding.target.name if isinstance(binding.target, Job) else f"{binding.target.name}>{binding.name}"
