"""Lists: newest first, in pages, by cursor (https://docs.stripe.com/api/pagination)."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from holdtrue.stage.payments import errors
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.store import Resource

_COMPARE = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def page(newest_first: Iterable[Mapping[str, Any]], params: Params, url: str, *, kind: str) -> Resource:
    """One page of a list, after the filters and cursors that all lists share.

    Raises:
        StripeError: limit out of range, two cursors, or a cursor that is not in the list.
    """
    limit = params.integer("limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise errors.invalid("Invalid limit: must be between 1 and 100.", param="limit")
    after, before = params.text("starting_after"), params.text("ending_before")
    if after is not None and before is not None:
        raise errors.invalid("You may only specify one of these parameters: starting_after, ending_before.")
    found = [dict(resource) for resource in _created(newest_first, params)]
    if after is not None:
        found = found[_position(found, after, "starting_after", kind) + 1 :]
    if before is not None:
        newer = found[: _position(found, before, "ending_before", kind)]
        return listed(newer[-limit:], url, has_more=len(newer) > limit)
    return listed(found[:limit], url, has_more=len(found) > limit)


def listed(data: list[Resource], url: str, *, has_more: bool = False) -> Resource:
    """A list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def newest(resources: Iterable[Resource]) -> list[Resource]:
    """Newest first; within one second the later creation is the newer."""
    return list(resources)[::-1]


def _created(resources: Iterable[Mapping[str, Any]], params: Params) -> Iterable[Mapping[str, Any]]:
    if not params.has("created"):
        return resources
    if isinstance(params.values["created"], str):
        exact = params.integer("created")
        return [resource for resource in resources if resource["created"] == exact]
    bounds = params.nested("created")
    limits = [(_COMPARE[name], bounds.need_integer(name)) for name in bounds.values if name in _COMPARE]
    return [resource for resource in resources if all(test(resource["created"], limit) for test, limit in limits)]


def _position(found: list[Resource], cursor: str, param: str, kind: str) -> int:
    for at, resource in enumerate(found):
        if resource["id"] == cursor:
            return at
    raise errors.no_such(kind, cursor, param=param)
