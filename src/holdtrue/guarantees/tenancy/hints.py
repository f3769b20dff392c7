"""How a request may name a tenant by the way: in headers, parameters and fields that nobody asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdtrue.stage import Stage
from holdtrue.stage.tables import qualified

USUAL = ("tenant", "org", "organization", "account", "company", "workspace", "team", "customer")
"""Words for a tenant that code of every kind uses."""


@dataclass(frozen=True, kw_only=True)
class Hints:
    """Every way to name one tenant."""

    number: str
    """The tenant's id."""
    headers: dict[str, str]
    query: dict[str, object]
    fields: dict[str, object]
    own: frozenset[str]
    """Of the query and the fields, the names that this very app has for a tenant."""


def hints_of(stage: Stage, tenant: str) -> Hints:
    """The ways to name a tenant by its id, and by what else its own row is known by (a slug, a subdomain)."""
    tenancy = stage.document.tenancy
    if tenancy is None:
        raise ValueError("the document knows no tenants")
    number = stage.cast.knowledge.tenants[tenant][tenancy.tenant]
    word = tenancy.tenant.removesuffix("_id")
    label = _label(stage, str(number))
    if label is not None and stage.cast.canary(tenant) in label:
        label = None  # an app that repeats what it was sent would seem to leak it
    # An `id` is the row's own, not the tenant's; setting it says nothing.
    columns = [column for column in tenancy.tables.values() if column != "id"]
    words = dict.fromkeys([word, *(column.removesuffix("_id") for column in columns), *USUAL])
    headers: dict[str, str] = {}
    query: dict[str, object] = {}
    fields: dict[str, object] = {}
    for each in words:
        title = "-".join(part.capitalize() for part in each.split("_"))
        headers |= {f"X-{title}-ID": str(number), f"X-{title}": label or str(number)}
        camel = re.sub(r"_(\w)", lambda found: found[1].upper(), each)
        query |= {f"{each}_id": str(number), f"{camel}Id": str(number), each: label or str(number)}
        fields |= {f"{each}_id": number, f"{camel}Id": number}
    if label is not None:
        headers |= {"X-Tenant-Slug": label, f"X-{word.capitalize()}-Slug": label}
        query |= {"slug": label, f"{word}_slug": label}
    own = [tenancy.tenant, f"{word}_id", *columns]
    return Hints(number=str(number), headers=headers, query=query, fields=fields, own=frozenset(own))


def some(names: Iterable[str], hints: Mapping[str, object]) -> dict[str, object]:
    """Those of the hints that have one of the names."""
    wanted = set(names)
    return {name: value for name, value in hints.items() if name in wanted}


def _label(stage: Stage, number: str) -> str | None:
    """What a tenant's own row is known by besides its id: a text that is unique, of those that stand in addresses."""
    tenancy = stage.document.tenancy
    for table, column in tenancy.tables.items() if tenancy else ():
        known = stage.scene.catalog.get(qualified(table))
        if known is None or known.primary_key != (column,):
            continue
        for row in stage.scene.rows.rows.get(known.full_name, ()):
            if str(row.get(column)) != number:
                continue
            for key in known.unique:
                value = row.get(key[0])
                single = len(key) == 1 and key[0] != column and isinstance(value, str)
                if single and re.fullmatch(r"[\w.-]{1,80}", str(value)):
                    return str(value)
    return None
