"""Method left open beside guarded ones.

What production does
--------------------
Scanners try every method on every address they know: DELETE where a page only reads, PATCH beside PUT, GET where a form
posts. So does a curious colleague with the developer tools of a browser.

Why apps break here
-------------------
The guard stands on the method somebody thought of. A second handler for the same path is written later and copies the
body, not the guard; a guard compares `method == "POST"`; `methods=["GET", "POST", "DELETE"]` or a generated set of
routes answers more than anybody asked for.

Wrong
-----
    @router.put("/products/{product_id}", dependencies=[Depends(requires("products.write"))])
    def replace(product_id: UUID, body: ProductIn): ...

    @router.patch("/products/{product_id}")
    def rename(product_id: UUID, body: NameIn): ...

Right
-----
    @router.patch("/products/{product_id}", dependencies=[Depends(requires("products.write"))])
    def rename(product_id: UUID, body: NameIn): ...

Better: mount routes through one place that refuses a route without a permission, so that each method is declared.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from holdtrue.contract.document import PARAMETER, Document, JsonValue
from holdtrue.contract.errors import UsageError
from holdtrue.contract.words import Severity
from holdtrue.guarantees.auth.auth001_route_without_its_permission import achieved
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.effects import business_tables
from holdtrue.stage import Stage
from holdtrue.stage.cast import Who
from holdtrue.stage.client import Answer
from holdtrue.stage.database import Difference
from holdtrue.stage.play import HOME, answered, call, ready_for, request_of, twin
from holdtrue.stage.scene import Call
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed, qualified_all

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""OPTIONS is answered by most frameworks themselves, and rightly."""
WITH_BODY = ("POST", "PUT", "PATCH")
NO_SUCH_METHOD = 405


@dataclass(frozen=True, kw_only=True)
class Path:
    """A path and its declared routes, at least one of them guarded."""

    keys: tuple[str, ...]
    missing: tuple[str, ...]
    """The methods the document declares nothing for."""

    @property
    def text(self) -> str:
        """As the first route writes it."""
        return self.keys[0].split(" ", 1)[1]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A declared route that makes the path ready, and the body that is sent."""

    key: str
    json: JsonValue = None
    form: dict[str, str] | None = None


def paths(document: Document) -> list[Path]:
    """The paths with a guarded route; parameters of other names make no other path."""
    found: dict[str, list[str]] = {}
    for key in document.routes:
        found.setdefault(PARAMETER.sub("{}", key.split(" ", 1)[1]), []).append(key)
    result = []
    for keys in found.values():
        if any(document.routes[key].permission is not None for key in keys):
            declared = {key.split(" ", 1)[0] for key in keys}
            # What makes a path ready should cost little: the route comes first that needs nothing before.
            cheap = sorted(keys, key=lambda key: (document.routes[key].after or "", len(document.routes[key].before)))
            result.append(Path(keys=tuple(cheap), missing=tuple(each for each in METHODS if each not in declared)))
    return result


def attempts(document: Document, path: Path, method: str) -> list[Attempt]:
    """What is sent by a method: for one that changes, each body of the path's own routes, else of those above it."""
    guarded = [key for key in path.keys if document.routes[key].permission is not None]
    if method not in WITH_BODY:
        return [Attempt(key=guarded[0])]
    told = [Attempt(key=key, json=route.json_, form=route.form) for key in guarded if (route := document.routes[key])]
    bodies = [each for each in told if each.json is not None or each.form is not None]
    if not bodies:
        above = document.routes.get(f"POST {path.text.rpartition('/')[0]}")
        if above is not None and above.json_ is not None:
            bodies = [Attempt(key=guarded[0], json=above.json_)]
    return bodies or [Attempt(key=guarded[0])]


async def rehearse(stage: Stage) -> AsyncIterator[Case | Untried]:
    """Each method of each guarded path, as nobody and as the colleague who may least: undeclared ones, and declared
    ones beside a neighbour that refuses the same sender.
    """
    for path in paths(stage.document):
        guarded = [key for key in path.keys if stage.document.routes[key].permission is not None]
        for key in guarded if len(guarded) > 1 else ():
            yield _neighbour(stage, guarded, key)
        for method in path.missing:
            yield _case(stage, path, method)
        try:
            await twin(stage, guarded[0])
        except StepFailedError as error:
            yield Untried(subject=path.text, reason=str(error))


def least(stage: Stage) -> Who | None:
    """The colleague who may least; nobody where each may everything."""
    limited = [who for who in stage.cast.members() if who.tenant == HOME and not stage.cast.holds(who, "*")]
    return min(limited, key=lambda who: len(stage.cast.principal(who).permissions), default=None)


def _case(stage: Stage, path: Path, method: str) -> Case:
    name = f"{method} {path.text}"

    async def play() -> Harm | None:
        for sender in dict.fromkeys((None, least(stage))):
            for attempt in attempts(stage.document, path, method):
                answer, rows = await _send(stage, attempt, method, sender)
                if answer.status == NO_SUCH_METHOD and not rows:
                    return None
                if achieved := await _achieved(stage, method, sender, answer, rows):
                    who = f"{sender.name}, who is signed in and may least" if sender else "nobody signed in"
                    beside = ", ".join(path.keys)
                    return Harm(
                        seen=f"{name} is not declared beside {beside}; it was sent by {who}: {achieved}.",
                        where=name,
                        clause=("routes", attempt.key, "permission"),
                    )
        return None

    return Case(name=name, play=play, cause=name)


def _neighbour(stage: Stage, guarded: list[str], key: str) -> Case:
    def refused(sender: Who | None) -> list[str]:
        """The routes of the path that must refuse a sender."""
        routes = stage.document.routes
        return [
            each for each in guarded if sender is None or not stage.cast.holds(sender, str(routes[each].permission))
        ]

    async def play() -> Harm | None:
        for sender in dict.fromkeys((None, least(stage))):
            others = refused(sender)
            if key not in others or len(others) == 1 or (harm := await achieved(stage, key, sender)) is None:
                continue
            for other in others:
                if other != key and await achieved(stage, other, sender) is None:
                    return Harm(
                        seen=f"{key} was sent by {sender or 'nobody signed in'}, whom {other} refuses: {harm}.",
                        where=key,
                        clause=("routes", key, "permission"),
                    )
        return None

    return Case(name=key, play=play, cause=key)


async def _send(stage: Stage, attempt: Attempt, method: str, sender: Who | None) -> tuple[Answer, Difference | None]:
    ready = await ready_for(stage, attempt.key)
    body = {"json_": attempt.json, "form": attempt.form}
    told: Call = replace(ready, route=ready.route.model_copy(update=body))
    try:
        rendered = request_of(stage, told, sender=sender, at=HOME)
    except UsageError:  # the body of another route needs what only that one's steps find
        rendered = request_of(
            stage, replace(ready, route=ready.route.model_copy(update={"json_": None})), sender=sender, at=HOME
        )
    async with stage.watch(rest=False) as seen:
        answer = await stage.player.send_rendered(replace(rendered, method=method), sender=sender)
    if answer.failed:
        stage.doubt = attempt.key
    return answered(answer, f"{method} {attempt.key.split(' ', 1)[1]}"), seen.rows


async def _achieved(
    stage: Stage, method: str, sender: Who | None, answer: Answer, rows: Difference | None
) -> str | None:
    """Say what the method did that it must not; None when it did nothing, or what the sender may do anyway."""
    canary = stage.cast.canary(HOME)
    if rows and (changed := await _forbidden(stage, sender, rows)):
        return f"it was answered {answer.describe()} and changed {listed(changed)}"
    if method != "HEAD" and answer.admitted and canary in answer.text and await _news(stage, sender, answer):
        return f"it was answered {answer.describe()} with the tenant's data"
    return None


async def _forbidden(stage: Stage, sender: Who | None, rows: Difference) -> frozenset[str]:
    """The tables that were changed in a way that needs a permission the sender lacks.

    Not what is written about any request that is refused (a counter, a log), and not what the sender may do elsewhere.
    """
    changed = business_tables(rows, stage.document)
    if not changed:
        return changed
    lacked, held = await _changes(stage, sender)
    ways = {(table, way) for table in changed for way in _ways(rows, table)} - (held if sender else set())
    owned = stage.document.tenancy.tables if stage.document.tenancy and sender is None else {}
    guarded = {table for table, _ in lacked} | qualified_all(owned)
    suspects = frozenset(table for table, _ in ways if table in guarded)
    return suspects - await _booked(stage, sender) if suspects else suspects


async def _changes(stage: Stage, sender: Who | None) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What the routes change that a sender may not call, and what those change that they may: table and way."""
    lacked: set[tuple[str, str]] = set()
    held: set[tuple[str, str]] = set()
    for key, route in stage.document.routes.items():
        if route.permission is None:
            continue
        may = sender is not None and stage.cast.holds(sender, route.permission)
        try:
            rows = (await twin(stage, key)).rows
        except StepFailedError:
            if may:
                raise  # it could be just what the sender did
            continue
        for table in business_tables(rows, stage.document) if rows else ():
            (held if may else lacked).update((table, way) for way in _ways(rows, table))
    return lacked, held


def _ways(rows: Difference | None, table: str) -> list[str]:
    changes = rows.tables.get(table) if rows else None
    if changes is None:
        return ["changed"]  # too large to be listed
    ways = {"inserted": changes.inserted, "updated": changes.updated, "deleted": changes.deleted}
    return [way for way, found in ways.items() if found]


async def _booked(stage: Stage, sender: Who | None) -> frozenset[str]:
    """The tables that change when the sender is refused: what keeps book of requests."""
    for key, route in stage.document.routes.items():
        if route.permission is None or (sender is not None and stage.cast.holds(sender, route.permission)):
            continue
        ready = await ready_for(stage, key)
        async with stage.watch(rest=False) as seen:
            answer = await call(stage, ready, sender=sender)
        if not answer.admitted:
            return business_tables(seen.rows, stage.document)
    return frozenset()


async def _news(stage: Stage, sender: Who | None, answer: Answer) -> bool:
    """Whether an answer has texts of the tenant that no route tells the sender which they may call."""
    about = re.compile(f'[^"<>]*{re.escape(stage.cast.canary(HOME))}[^"<>]*')
    known: set[str] = set()
    for key, route in stage.document.routes.items():
        permitted = route.permission is not None and sender is not None and stage.cast.holds(sender, route.permission)
        if permitted or route.public is not None:
            known.update(about.findall((await twin(stage, key)).answer.text))
    return not known.issuperset(about.findall(answer.text))


GUARANTEE = Guarantee(
    doc=__doc__,
    code="AUTH004",
    catalogue="T4",
    severity=Severity.CRITICAL,
    promise="On the path of a guarded route no method is left open, whether the document declares it or not.",
    why="One forgotten method on a known address deletes or changes what its guarded neighbours protect.",
    do="Guard every method of the path, or take the handler out; declare each method that is meant to be there.",
    do_not="Do not guard by the method's name: the next method is open again.",
    subjects=lambda document: [path.text for path in paths(document)],
    rehearse=rehearse,
    weight=3,
)
