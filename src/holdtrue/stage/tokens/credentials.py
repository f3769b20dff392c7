"""Which variables of a document are credentials, and where each of them belongs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdtrue.contract.document import Document, Inbox, Request, Route, Step
from holdtrue.contract.template import json_names, names
from holdtrue.stage.cast import Cast, Who


def carried(cast: Cast, who: Who) -> dict[str, str]:
    """Variable → value of what a principal's every request carries, such as ``access_token``."""
    principal = cast.principal(who)
    own = cast.knowledge.principals.get(who, {})
    used = [name for text in (*principal.headers.values(), *principal.cookies.values()) for name in names(text)]
    return {name: value for name in used if isinstance(value := own.get(name), str)}


@dataclass(frozen=True, kw_only=True)
class MailedKind:
    """A kind of token that the app sends by mail: variables that are exchanged at the same places."""

    variables: frozenset[str]
    homes: frozenset[str]
    """The requests (``METHOD /path``) that the document sends it with."""


def mailed_kinds(document: Document) -> list[MailedKind]:
    """The kinds of tokens in mails. Two variables that one request takes are one kind: it takes both, on purpose."""
    mailed = {name for step in _steps(document) if isinstance(step, Inbox) for name in step.capture}
    homes: dict[str, set[str]] = {name: set() for name in mailed}
    for step in _steps(document):
        if isinstance(step, Request):
            for name in mailed & _used(step.request, step):
                homes[name].add(step.request)
    for key in document.routes:
        for name in mailed & filled_with(document, key):
            homes[name].add(key)
    kinds: list[MailedKind] = []
    for name in sorted(mailed):
        if not homes[name]:
            continue  # a number or a link that nothing takes
        same = [kind for kind in kinds if kind.homes & homes[name]]
        joined = MailedKind(
            variables=frozenset({name}).union(*(kind.variables for kind in same)),
            homes=frozenset(homes[name]).union(*(kind.homes for kind in same)),
        )
        kinds = [kind for kind in kinds if kind not in same] + [joined]
    return kinds


def filled_with(document: Document, key: str) -> set[str]:
    """The variables that a route's request is filled with; not those of its sender's session."""
    route = document.routes[key]
    renamed = {name for text in route.params.values() for name in names(text)}
    return (_used(key, route) - set(route.params)) | renamed


def captures_of(document: Document, variable: str) -> list[str]:
    """Where answers of the app have a variable, wherever the document captures it."""
    found = [
        step.capture[variable] for step in _steps(document) if isinstance(step, Request) and variable in step.capture
    ]
    return list(dict.fromkeys(found))


def _used(key: str, request: Request | Route) -> set[str]:
    used = {*names(key), *json_names(request.json_), *json_names(request.query), *json_names(request.form or {})}
    return used | {*json_names(request.headers)}


def _steps(document: Document) -> Iterator[Step]:
    for principal in document.principals.values():
        yield from principal.steps
    for resource in document.resources.values():
        yield from resource.steps
    for route in document.routes.values():
        yield from route.before
    for mail in document.mail.values():
        yield from mail.before
        yield mail.cause
    for ending in document.endings.values():
        yield from ending.steps
    if document.tenancy is not None:
        for removal in document.tenancy.removals.values():
            yield from removal.steps
    for webhook in document.webhooks.values():
        for journey in webhook.journeys.values():
            yield from journey.steps
