"""A module: its promise, and the wiring that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData

from holdtrue.contract import Binding, Contract
from holdtrue.runtime.faults import Fault
from holdtrue.runtime.ports import Authenticator, Mailer, Recorder, Tenants
from holdtrue.runtime.settings import ModuleSettings
from holdtrue.runtime.web.router import Router


@dataclass(frozen=True, kw_only=True)
class Module:
    """What a factory such as ``Payments(…)`` returns. Making one opens nothing and reads nothing."""

    contract: Contract
    routers: tuple[Router, ...] = ()
    metadata: MetaData | None = None
    migrations: Path | None = None
    """The folder of its revisions: one Alembic branch, named like the module."""
    settings: type[ModuleSettings] | None = None
    open: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None
    """Takes the settings, and opens what the process needs once; ``unit.port(type)`` finds it by its type."""
    bindings: tuple[Binding, ...] = ()
    authenticator: Authenticator | None = None
    tenants: Tenants | None = None
    mailer: Mailer | None = None
    recorder: Recorder | None = None
    verify: Callable[[Sequence[Contract]], Iterable[Fault]] | None = None
    """Looks at the contracts of all modules as the app is composed, and says what it cannot serve."""

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.contract.name

    @cached_property
    def promise(self) -> Contract:
        """The contract with the routes of the routers."""
        return self.contract.with_routes(tuple(each.route for router in self.routers for each in router.endpoints))
