"""Lists: newest first, in pages, by cursor (https://docs.stripe.com/api/pagination)."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holdtrue.stage.payments import errors
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.store import Resource

_COMPARE = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def page(
    newest_first: Iterable[Mapping[str, Any]],
    params: Params,
    url: str,
    *,
    kind: str,
    order: Sequence[str] | None = None,
) -> Resource:
    """One page of a list, after the filters and cursors that all lists share.

    `order` has the ids of the list without its filters, newest first, so that a cursor need not pass them.

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
    places = {name: at for at, name in enumerate(order or [resource["id"] for resource in found])}
    if after is not None:
        place = _place(places, after, "starting_after", kind)
        found = [resource for resource in found if places[resource["id"]] > place]
    if before is not None:
        place = _place(places, before, "ending_before", kind)
        newer = [resource for resource in found if places[resource["id"]] < place]
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


def _place(places: Mapping[str, int], cursor: str, param: str, kind: str) -> int:
    if cursor not in places:
        raise errors.no_such(kind, cursor, param=param)
    return places[cursor]
