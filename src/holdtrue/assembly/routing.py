"""What does not fit together in the routes of a composed app."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

from fastapi import FastAPI
from starlette.routing import BaseRoute

from holdtrue.contract import Contract, Permission, Public, Route, Signature, SignedIn
from holdtrue.runtime import Fault
from holdtrue.runtime.process import Blueprint
from holdtrue.runtime.web.app import build_app

_PARAMETER = re.compile(r"\{[^}]*\}")


def routes(promises: Sequence[Contract]) -> Iterator[Fault]:
    """Routes that nobody decided about, that two modules answer, or that no rehearsal would try."""
    declared = {each.name for promise in promises for each in promise.permissions}
    webhooks = {
        source: (promise.name, webhook.route)
        for promise in promises
        for source, webhook in promise.rehearsal.webhooks.items()
    }
    owner: dict[str, str] = {}
    for promise in promises:
        for route in promise.routes:
            where = f"{promise.name}: {route.key}"
            if not isinstance(route.access, Permission | Public | Signature | SignedIn):
                yield Fault(
                    "ROUTE_WITHOUT_DECISION",
                    "this route says nothing about who may call it",
                    where=where,
                    why="A route that nobody decided about is open by accident.",
                    do='Give access=PERMISSION, public("why"), signature("who") or signed_in().',
                )
            if isinstance(route.access, Permission) and route.access.name not in declared:
                yield Fault(
                    "PERMISSION_UNKNOWN",
                    f"no composed module declares {route.access.name}",
                    where=where,
                    do="Declare it in permissions of the contract.",
                )
            if isinstance(route.access, Signature) and (known := webhooks.get(route.access.source)):
                yield from _second_webhook(where, route, route.access.source, *known)
            shape = _PARAMETER.sub("{}", route.key)
            if shape in owner:
                yield Fault(
                    "ROUTE_CLASH",
                    f"{owner[shape]} and {promise.name} both answer {route.key}",
                    do="Prefix one of them.",
                )
            owner[shape] = promise.name


def _second_webhook(where: str, route: Route, source: str, owner: str, tried: str) -> Iterator[Fault]:
    if route.key != tried:
        yield Fault(
            "WEBHOOK_TWICE",
            f"{where} and {owner}: {tried} both say that {source} signs them",
            why="A rehearsal forges and repeats at the latter alone: whether the former verifies nobody tries.",
            do=f"Bind an event or a hook of {owner}; or give the route a source and a webhook of its own.",
        )


def strays(blueprint: Blueprint, app: FastAPI) -> Iterator[Fault]:
    """Routes that somebody mounted on the ASGI app, past the guard and the contract."""
    known = [_shown(each) for each in build_app(blueprint, {}).routes]
    for route in app.routes:
        if (told := _shown(route)) in known:
            known.remove(told)
            continue
        yield Fault(
            "ROUTE_OUTSIDE_THE_GUARD",
            f"{told} is mounted on the ASGI app itself, and no module declares it",
            where=place_of(getattr(route, "endpoint", None)),
            why="Nobody asks there who calls and for whom, nothing is audited, and no check would try it.",
            do='Put it on a Router of a module: access=PERMISSION, public("why"), signature("who") or signed_in().',
        )


def _shown(route: BaseRoute) -> str:
    methods = ",".join(sorted(getattr(route, "methods", None) or ())) or type(route).__name__
    return f"{methods} {getattr(route, 'path', '')}".replace("GET,HEAD ", "GET ")


def place_of(function: object) -> str:
    """File and line of a function; empty for what is none."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""
