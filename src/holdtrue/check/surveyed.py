"""Compares the document with the app on the stage: what it names must exist, and what it leaves out is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urlsplit

from holdtrue.contract.document import PARAMETER
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.problems import DocumentErrors, Pointer, Problem
from holdtrue.contract.reader import Loaded
from holdtrue.contract.template import suggestion
from holdtrue.stage import Stage
from holdtrue.stage.client import Answer
from holdtrue.stage.database import Catalog
from holdtrue.stage.play import principal_of
from holdtrue.stage.tables import qualified

NOWHERE = "/holdtrue-asks-for-a-page-that-no-app-has"
_TOLD = frozenset({"get", "put", "post", "delete", "patch"})
"""Keys of a path item that are operations (OpenAPI 3.1, 4.8.9), without those that frameworks add by themselves."""


class DoesNotFitTheApp(DocumentErrors):
    """The document names what the app does not have."""

    def __str__(self) -> str:
        return "\n".join([*map(str, self.problems), f"{self.seen}; nothing was rehearsed."])


async def compare(loaded: Loaded, stage: Stage) -> list[str]:
    """Return what the app serves and the document does not declare; leaves the stage to be reset.

    Raises:
        DoesNotFitTheApp: the document names tables, columns or routes that the app does not have.
        HoldtrueError: the app does not answer.
    """
    problems = list(_tables(loaded, stage.scene.catalog))
    notes: list[str] = []
    if loaded.document.openapi is not None:
        served = _served(await _openapi(loaded, stage, loaded.document.openapi, problems))
        if served:
            problems += [problem async for problem in _missing_routes(loaded, stage, served)]
            declared = {_shape(key) for key in loaded.document.routes}
            notes = [
                f"the app serves {key}, which the document does not declare: nothing was promised about it"
                for key in served
                if _shape(key) not in declared
            ]
    if problems:
        raise DoesNotFitTheApp(sorted(problems, key=lambda each: (each.position.line, each.position.column)))
    return notes


def _tables(loaded: Loaded, catalog: Catalog) -> Iterator[Problem]:
    tenancy, audit = loaded.document.tenancy, loaded.document.audit
    named: list[tuple[str, Pointer]] = []
    if tenancy is not None:
        named += [(table, ("tenancy", "tables", table)) for table in tenancy.tables]
    if audit is not None:
        named += [(table, ("audit", "tables", index)) for index, table in enumerate(audit.tables)]
        named += [(table, ("audit", "covers", index)) for index, table in enumerate(audit.covers)]
        named += [(table, ("audit", "except", table)) for table in audit.except_]
    known = [name.removeprefix("public.") for name in catalog.tables]
    for table, pointer in named:
        if qualified(table) not in catalog.tables:
            yield _problem(loaded, pointer, f"the migrated database has no table `{table}`", table, known)
    for table, column in (tenancy.tables if tenancy else {}).items():
        if (there := catalog.get(qualified(table))) is not None:
            columns = [each.name for each in there.columns]
            if column not in columns:
                message = f"the table `{table}` has no column `{column}`"
                yield _problem(loaded, ("tenancy", "tables", table), message, column, columns)


def _problem(loaded: Loaded, pointer: Pointer, message: str, wrong: str, known: Collection[str]) -> Problem:
    hint = suggestion(wrong, known) or f"there are: {', '.join(sorted(known)) or 'none'}"
    return Problem(position=loaded.locate(pointer), message=message, hint=hint)


async def _openapi(loaded: Loaded, stage: Stage, path: str, problems: list[Problem]) -> Any:
    """Ask for the OpenAPI document as nobody, then as each member of the cast."""
    for sender in (None, *stage.cast.members()):
        tenant = sender.tenant if sender else None
        answer = await stage.client.send(stage.port(), "GET", path, headers=stage.player.headers(sender, tenant))
        if answer.failed:
            raise HoldtrueError(
                f"GET {path} was answered {answer.describe()}",
                where=str(loaded.locate(("openapi",))),
                why="Without its OpenAPI document the app's routes cannot be compared with the declared ones.",
                do="See the app's log for why it fails.",
            )
        if answer.admitted:
            break
    content = answer.json if answer.admitted else None
    if not isinstance(content, dict) or not isinstance(content.get("paths"), dict):
        problems.append(
            Problem(
                position=loaded.locate(("openapi",)),
                message=f"GET {path} was answered {answer.describe()}, and not with an OpenAPI document",
                hint="name the path under which the app serves it, or leave `openapi` out",
            )
        )
        return None
    return content


def _served(content: Any) -> list[str]:
    """The routes an OpenAPI document shows, below the path of its first server."""
    if content is None:
        return []
    servers = content.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else {}
    prefix = urlsplit(str(first.get("url", ""))).path.rstrip("/") if isinstance(first, dict) else ""
    return [
        f"{method.upper()} {prefix}{path}"
        for path, item in content["paths"].items()
        if isinstance(item, dict)
        for method in item
        if method in _TOLD
    ]


def _shape(key: str) -> str:
    """A route without the names of its parameters."""
    return PARAMETER.sub("{}", key)


async def _missing_routes(loaded: Loaded, stage: Stage, served: list[str]) -> Any:
    """Declared routes that OpenAPI does not show and that the app answers as it answers for no page at all.

    A route may be hidden from OpenAPI on purpose, as webhooks often are.
    """
    shown = {_shape(key) for key in served}
    for key in loaded.document.routes:
        if _shape(key) in shown or not await _is_nowhere(stage, key):
            continue
        problem = _problem(
            loaded, ("routes", key), "the app has no such route: its OpenAPI document does not show it", key, served
        )
        yield problem


async def _is_nowhere(stage: Stage, key: str) -> bool:
    method, path = key.split(" ", 1)
    sender = principal_of(stage, key)
    headers = stage.player.headers(sender, sender.tenant if sender else None)
    if PARAMETER.search(path):
        return False  # a 404 may mean that there is no such page, or no such row: its positive twin will tell
    asked = [path, NOWHERE]
    there, nowhere = [await stage.client.send(stage.port(), method, each, headers=headers) for each in asked]
    stage.distrust()
    if there.status == 405:
        return True
    return there.status == 404 and nowhere.status == 404 and _words(there, asked[0]) == _words(nowhere, asked[1])


def _words(answer: Answer, path: str) -> str:
    """An answer's text without the path that was asked for, and without ids of requests and times."""
    return re.sub(r"[0-9a-f-]*\d[0-9a-f-]*", "", answer.text.replace(path, ""))
