"""What does not fit together. Every fault names both sides; all are told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Any

from sqlalchemy import Table as ModelTable

from holdtrue.assembly.annotations import mismatch
from holdtrue.assembly.routing import place_of, routes
from holdtrue.contract import Bindable, Binding, Contract, Event, Hook, Job, Permission, SignedIn
from holdtrue.runtime import Fault, Module
from holdtrue.runtime.models import metadata as runtime_tables

Bound = tuple[str, Binding]
"""Who binds (a module's name, or the app's list), and the binding."""
PORTS = {"authenticator": "auth", "tenants": "tenancy", "recorder": "audit", "mailer": "email"}
"""The ports of the runtime, and the built-in module that fills each."""


def clashes(modules: Sequence[Module], bound: Sequence[Bound]) -> Iterator[Fault]:
    """Everything that does not fit together."""
    promises = [module.promise for module in modules]
    yield from routes(promises)
    yield from _grants(promises)
    yield from _tables(modules)
    yield from _names(promises)
    yield from _events(promises)
    yield from _bindings(modules, bound)
    yield from _hook_order(bound)
    yield from _jobs(promises, bound)
    yield from _ports(modules)


def _grants(promises: Sequence[Contract]) -> Iterator[Fault]:
    declared = {each.name for promise in promises for each in promise.permissions}
    for promise in promises:
        for grant in promise.grants:
            for name in sorted(set(grant.permissions) - declared - {"*"}):
                near = get_close_matches(name, declared, 3)
                yield Fault(
                    "PERMISSION_UNKNOWN",
                    f"no composed module declares {name}",
                    where=f"{promise.name}: role {grant.role}",
                    do=f"Grant one that exists{': ' + ', '.join(near) if near else ''}.",
                )


def _tables(modules: Sequence[Module]) -> Iterator[Fault]:
    owner = dict.fromkeys(runtime_tables.tables, "the runtime")
    for module in modules:
        decided = {each.name: each for each in module.contract.tables}
        for name in decided:
            if name in owner:
                yield Fault(
                    "TABLE_CLASH", f"{owner[name]} and {module.name} both own the table {name}", do="Rename one."
                )
            owner[name] = module.name
        models = module.metadata.tables.values() if module.metadata is not None else ()
        for model in models:
            if model.name not in decided:
                yield Fault(
                    "TABLE_WITHOUT_DECISION",
                    f"the table {model.name} has no tenant decision",
                    where=module.name,
                    why="A table that nobody decided about is where one tenant reads another's rows.",
                    do=f'Add Table(name="{model.name}") to the contract, or global_table("{model.name}", "why").',
                )
            elif (tenant := decided[model.name].tenant) and not _led_by(model, tenant):
                yield Fault(
                    "TABLE_NOT_BY_TENANT",
                    f"the primary key of {model.name} does not lead with {tenant}",
                    where=module.name,
                    why="References to it could point into another tenant.",
                    do="Use the TenantRow mixin, and tenant_table(…) in its revision.",
                )


def _led_by(table: ModelTable, column: str) -> bool:
    key = list(table.primary_key.columns)
    return bool(key) and key[0].name == column


def _names(promises: Sequence[Contract]) -> Iterator[Fault]:
    for promise in promises:
        own = (promise.permissions, promise.events, promise.hooks, promise.jobs, promise.effects, promise.mails)
        for name, times in Counter(each.name for entries in own for each in entries).items():
            if times > 1:
                yield Fault(
                    "NAME_TWICE", f"{promise.name} declares {name} {times} times", do="Give each a name of its own."
                )


def _events(promises: Sequence[Contract]) -> Iterator[Fault]:
    emitted = {each.name for promise in promises for each in promise.events}
    offered = {each.name for promise in promises for each in promise.hooks}
    optional = {promise.name: {each.partition(">=")[0] for each in promise.optional} for promise in promises}
    for promise in promises:
        wanted: Iterable[tuple[Event | Hook, set[str]]] = chain(  # type: ignore[type-arg]  # of whatever payload
            ((each, emitted) for each in promise.consumes), ((each, offered) for each in promise.binds)
        )
        for target, there in wanted:
            if target.name not in there and target.module not in optional[promise.name]:
                yield _dangling(promise.name, target.kind, target.name)


def _dangling(who: str, kind: str, name: str) -> Fault:
    module = name.partition(".")[0]
    return Fault(
        "BINDING_DANGLING",
        f"{who} is bound to the {kind} {name}, which no composed module offers",
        why="It would never be called.",
        do=f"Compose {module}, or bind to something that it offers in this version.",
    )


def _bindings(modules: Sequence[Module], bound: Sequence[Bound]) -> Iterator[Fault]:
    offered = {
        each.name: each
        for module in modules
        for each in chain(module.contract.hooks, module.contract.events, module.contract.jobs)
    }
    contracts = {module.name: module.contract for module in modules}
    for who, binding in bound:
        target = binding.target
        known = offered.get(target.name)
        if known is None:
            yield _dangling(f"{binding.name} ({who})", target.kind, target.name)
        elif known != target:
            yield Fault(
                "BINDING_OF_ANOTHER_VERSION",
                f"{binding.name} ({who}) is bound to a {target.name} that differs from the one {target.module} offers",
                do=f"Import {target.name} from where {target.module} declares it.",
            )
        if problem := mismatch(binding):
            yield Fault(
                "BINDING_TYPE",
                f"{binding.name} ({who}) does not fit the {target.kind} {_of(contracts, target)}: {problem}",
                where=place_of(binding.function),
                why="It would be called with what it was not written for.",
                do=f"Write: {stub(target)}",
            )
        own = contracts.get(who)
        if own is not None and target.module != who and target not in (*own.consumes, *own.binds):
            yield Fault(
                "BINDING_UNDECLARED",
                f"{who} binds {target.name} and its contract does not say so",
                do=f"Add it to {'consumes' if isinstance(target, Event) else 'binds'} of the contract of {who}.",
            )


def _of(contracts: Mapping[str, Contract], target: Bindable[Any]) -> str:
    offering = contracts.get(target.module)
    return f"{target.name} of {offering.name} {offering.version}" if offering else target.name


def stub(target: Bindable[Any]) -> str:
    """The signature of a function that fits."""
    first = "work: Work" if target.deferred else "unit: UnitOfWork"
    output = "None" if target.output is type(None) else target.output.__name__
    return f"async def {target.name.partition('.')[2]}({first}, payload: {target.payload.__name__}) -> {output}"


def _hook_order(bound: Sequence[Bound]) -> Iterator[Fault]:
    before: dict[str, list[str]] = {}
    for who, binding in bound:
        earlier = before.setdefault(binding.target.name, [])
        if binding.name in earlier:
            yield Fault(
                "BINDING_TWICE", f"{binding.name} ({who}) is bound to {binding.target.name} twice", do="Bind it once."
            )
        for name in binding.after:
            if name not in earlier:
                yield Fault(
                    "BINDING_ORDER",
                    f"{binding.name} ({who}) must stand after {name} on {binding.target.name}, and does not",
                    why="The order of bindings is the order in which they decide.",
                    do=f"Bind {name} earlier in the list.",
                )
        earlier.append(binding.name)


def _jobs(promises: Sequence[Contract], bound: Sequence[Bound]) -> Iterator[Fault]:
    times = Counter(binding.target.name for _, binding in bound if isinstance(binding.target, Job))
    for promise in promises:
        for job in promise.jobs:
            if times[job.name] != 1:
                yield Fault(
                    "JOB_BINDINGS",
                    f"the job {job.name} of {promise.name} has {times[job.name]} bindings",
                    why="A job is done by one function: with none it would pile up, with two it would be done twice.",
                    do=f"Bind exactly one: {job.name.partition('.')[2].upper()}.bind(function).",
                )
        for schedule in promise.schedules:
            if any(each.is_required() for each in schedule.job.payload.model_fields.values()):
                yield Fault(
                    "SCHEDULE_PAYLOAD",
                    f"{promise.name} schedules {schedule.job.name}, whose payload has fields without default",
                    do="Give every field a default: nobody is there to fill it in.",
                )


def _ports(modules: Sequence[Module]) -> Iterator[Fault]:
    routes = [(module.name, route) for module in modules for route in module.promise.routes]
    guarded = [f"{name}: {route.key}" for name, route in routes if isinstance(route.access, Permission | SignedIn)]
    by_permission = [f"{name}: {route.key}" for name, route in routes if isinstance(route.access, Permission)]
    tenant_tables = [each.name for module in modules for each in module.contract.tables if each.tenant]
    audited = [each.name for module in modules for each in module.contract.events if each.audited]
    mails = [each.name for module in modules for each in module.contract.mails]
    needs = {
        "authenticator": guarded,
        "tenants": by_permission if tenant_tables else [],
        "recorder": audited,
        "mailer": mails,
    }
    for port in PORTS:
        needing = needs[port]
        filling = [module.name for module in modules if getattr(module, port) is not None]
        if len(filling) > 1:
            yield Fault(
                "PORT_TWICE",
                f"{filling[0]} and {filling[1]} both fill the port {port!r}",
                do="Compose only one of them.",
            )
        if needing and not filling:
            yield Fault(
                "PORT_EMPTY",
                f"nobody fills the port {port!r}, and it is needed by {needing[0]}"
                + (f" and {len(needing) - 1} more" if len(needing) > 1 else ""),
                do=f"Compose a module that fills it: {PORTS[port]}.",
            )
