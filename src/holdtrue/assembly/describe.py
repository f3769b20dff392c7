"""The contract document of a composed app, derived: state once, derive the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdtrue.contract import Contract, Permission, Public, Route, Signature, SignedIn
from holdtrue.contract import document as doc
from holdtrue.runtime import Fault, Faults, Module, ModuleSettings
from holdtrue.runtime.web.app import HEALTH

RUNTIME_TABLES = {
    "holdtrue_inbox": "one row for each event of a provider: its id and type, nothing of a tenant",
    "holdtrue_schedules": "when a scheduled job had its last turn",
    "procrastinate_jobs": "wakes the worker: ids of rows, nothing of a tenant",
    "procrastinate_workers": "which workers are alive",
    "procrastinate_events": "the history of wakes",
    "procrastinate_periodic_defers": "unused",
}
RUNTIME_ENV = {
    "DATABASE_URL": "{postgres_url}",
    # A rehearsal should not have to wait for what production can wait for.
    "HOLDTRUE_POLL_SECONDS": "0.05",
    # One loop, so that it can be seen on the wire when all work is done.
    "HOLDTRUE_LANES_TOGETHER": "true",
    # An idle worker should say nothing but its polls; what is left half done is swept when its lease ends.
    "HOLDTRUE_SWEEP_SECONDS": "60",
    "HOLDTRUE_LEASE_SECONDS": "3",
    "HOLDTRUE_BACKOFF_SECONDS": "0.2",
}
_SECTIONS = ("principals", "resources", "endings", "removals", "webhooks", "mail")


def describe(
    name: str, modules: Sequence[Module], settings: Sequence[type[ModuleSettings]], target: str
) -> doc.Document:
    """The document.

    Raises:
        Faults: two modules, neither of them the app, describe one principal, resource or mail differently.
    """
    merged = _merged(modules)
    contracts = [module.promise for module in modules]
    tables = [each for contract in contracts for each in contract.tables]
    routes = [endpoint.route for endpoint in HEALTH.endpoints] + [
        each for contract in contracts for each in contract.routes
    ]
    tenant = next((each.rehearsal.tenant for each in reversed(contracts) if each.rehearsal.tenant), None)
    audit = [table for contract in contracts for table in contract.rehearsal.audit_tables]
    unaudited = {each.name: each.unaudited for each in tables if each.unaudited and each.tenant}
    command = f"{{python}} -m holdtrue.assembly {{}} {target}"
    return doc.Document(
        app=doc.App(name=name),
        process=doc.Process(
            asgi=f"{target}.asgi",
            migrate=command.replace("{}", "migrate"),
            worker=command.replace("{}", "worker"),
            ready="/health/ready",
            env=_environment(modules),
            migrate_env={"DATABASE_OWNER_URL": "{postgres_owner_url}"},
        ),
        migrations=doc.Migrations(
            tool="command",
            up=command.replace("{}", "migrate"),
            down=command.replace("{}", "migrate --down 1"),
            steps=command.replace("{}", "migrate --steps"),
        ),
        openapi="/openapi.json",
        permissions={each.name: each.doc for contract in contracts for each in contract.permissions},
        routes={route.key: _route(route, merged["webhooks"]) for route in routes},
        principals=_arrived(merged["principals"], contracts),
        resources=merged["resources"],
        refresh=next((each.rehearsal.refresh for each in reversed(contracts) if each.rehearsal.refresh), None),
        endings=merged["endings"],
        tenancy=None
        if tenant is None
        else doc.Tenancy(
            tenant=tenant,
            headers=_headers(modules),
            tables={each.name: each.tenant for each in tables if each.tenant} | {"holdtrue_outbox": "tenant_id"},
            global_={each.name: each.global_ for each in tables if each.global_},
            removals=merged["removals"],
        ),
        webhooks={name: _located(webhook, target) for name, webhook in merged["webhooks"].items()},
        mail=merged["mail"],
        audit=doc.Audit(
            tables=audit,
            except_=unaudited | {"holdtrue_outbox": "what is owed, not what was decided"},
        )
        if audit
        else None,
        tables_out_of_scope=RUNTIME_TABLES,
    )


def _located(webhook: doc.Webhook, target: str) -> doc.Webhook:
    """A module does not know where the app puts its assembly; its commands say ``{assembly}``."""
    command = webhook.reconcile
    if not isinstance(command, str):
        return webhook
    return webhook.model_copy(update={"reconcile": command.replace("{assembly}", target)})


def _arrived(principals: Mapping[str, doc.Principal], contracts: Sequence[Contract]) -> dict[str, doc.Principal]:
    """Each principal comes to be a signed-in person first, unless it has a way of its own."""
    arrival = next((each.rehearsal.arrival for each in reversed(contracts) if each.rehearsal.arrival), None)
    if arrival is None:
        return dict(principals)
    told = arrival.model_dump_json(by_alias=True)
    arrived = {}
    for name, principal in principals.items():
        own = doc.Principal.model_validate_json(told.replace("{principal}", name))
        before = {"steps": [*own.steps, *principal.steps], "headers": own.headers, "cookies": own.cookies}
        arrived[name] = principal if principal.headers or principal.cookies else principal.model_copy(update=before)
    return arrived


def _merged(modules: Sequence[Module]) -> dict[str, dict[str, Any]]:
    """Each section of all modules; the app, which is last, may say anything anew."""
    merged: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    owner: dict[tuple[str, str], str] = {}
    faults = []
    for module in modules:
        for section in _SECTIONS:
            for key, value in getattr(module.contract.rehearsal, section).items():
                known = merged[section].get(key, value)
                if known != value and module is not modules[-1]:
                    faults.append(
                        Fault(
                            "REHEARSAL_CLASH",
                            f"{owner[section, key]} and {module.name} describe {section}.{key} differently",
                            do="Let the app describe it, or rename one.",
                        )
                    )
                merged[section][key] = value
                owner[section, key] = module.name
    if faults:
        raise Faults(faults)
    return merged


def _environment(modules: Sequence[Module]) -> dict[str, str]:
    env = dict(RUNTIME_ENV)
    for module in modules:
        contract = module.contract
        env |= {each.name: each.rehearse for each in contract.secrets}
        env |= {each.name: each.rehearse for each in contract.variables}
        env |= contract.rehearsal.env
    return env


def _headers(modules: Sequence[Module]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for module in modules:
        headers |= module.contract.rehearsal.tenant_headers
    return headers


def _route(route: Route, webhooks: Mapping[str, Any]) -> doc.Route:
    access = route.access
    told: dict[str, Any] = route.rehearse.model_dump(exclude_unset=True) if route.rehearse else {}
    match access:
        case Permission():
            told["permission"] = access.name
        case Public():
            told["public"] = access.reason
        case SignedIn():
            told |= {"permission": "signed_in", "scope": "account"}
        case Signature() if access.source in webhooks:
            told["signature"] = access.source
        case Signature():
            told["out_of_scope"] = f"signed by {access.source}, which the stage has no double of"
    return doc.Route.model_validate(told)
