"""Ids of the same form as real ones, that nobody has."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from uuid import UUID

from holdtrue.contract.template import json_names, names
from holdtrue.stage import Stage
from holdtrue.stage.database import Catalog, Snapshot
from holdtrue.stage.play import FOREIGN
from holdtrue.stage.scene import Call

ATTEMPTS = 50
LARGEST = 2**31 - 1
"""Of PostgreSQL's `integer`; an id above it is refused for its size, and not because it is missing."""


async def missing_ids(stage: Stage, ready: Call, number: int) -> dict[str, object]:
    """Variable → an id that is missing, for each variable of a request that is the key of a row of the first tenant.

    What nobody keeps secret (the path of a public route names it) is left out: that it exists is no news.
    """
    route = ready.route
    used = {*names(ready.key), *json_names(route.json_), *json_names(route.params), *json_names(route.query)}
    used |= {*json_names(route.form)}
    view = stage.cast.view(ready.principal, ready.tenant, dict(ready.variables))
    keys = _keys(stage.scene.catalog, await stage.rows())
    open_to_all = {name for key, told in stage.document.routes.items() if told.public for name in names(key)}
    theirs = stage.cast.knowledge.tenants[FOREIGN]
    return {
        name: missing(view[name], keys, seed=stage.setting.seed + number)
        for name in sorted(used - open_to_all)
        if name in view and str(view[name]) in keys and theirs.get(name) != view[name]
    }


def missing(value: object, taken: Collection[str], *, seed: int) -> object:
    """An id of the same form as ``value`` that is not among ``taken``."""
    random = Random(f"{seed}|{value}")  # noqa: S311 - a made-up id, no secret
    for _ in range(ATTEMPTS):
        made = _made(value, random)
        if str(made) not in taken and made != value:
            return made
    return f"{value}{random.randrange(LARGEST)}"


def _made(value: object, random: Random) -> object:
    text = str(value)
    try:
        known = UUID(text)
    except ValueError:
        pass
    else:
        # The last 48 bits are random, or a node, in every version: what comes before stays valid.
        made = str(UUID(int=known.int >> 48 << 48 | random.getrandbits(48)))
        return made if "-" in text else made.replace("-", "")
    if text.isdecimal():
        number = random.randrange(LARGEST // 2, LARGEST)
        return number if isinstance(value, int) else str(number)
    # Its own characters in another order stay in its alphabet; a prefix such as `ord_` stays where it is.
    start = max(text.rfind("_"), text.rfind("-")) + 1
    return text[:start] + "".join(random.sample(text[start:], len(text) - start))


def _keys(catalog: Catalog, rows: Snapshot) -> frozenset[str]:
    """Every value in a column of a primary key."""
    return frozenset(
        str(row[column])
        for table in catalog.stored
        for row in rows.rows.get(table.full_name, ())
        for column in table.primary_key
        if row.get(column) is not None
    )
