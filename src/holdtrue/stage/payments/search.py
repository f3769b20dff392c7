"""Stripe's search (https://docs.stripe.com/search), as far as apps use it: `field:'x'`, `metadata['key']:'x'`.

Real search lags behind writes by up to a minute; this one does not.
"""

import re
from collections.abc import Iterable

from holdtrue.stage.payments import errors
from holdtrue.stage.payments.params import Params
from holdtrue.stage.payments.store import Resource

_CLAUSE = re.compile(r"""\s*(?P<field>\w+)(?:\[["'](?P<key>[^"']+)["']\])?\s*:\s*["'](?P<value>[^"']*)["']\s*\Z""")


def search(resources: Iterable[Resource], params: Params, url: str, *, fields: tuple[str, ...]) -> Resource:
    """The resources for which every clause, joined by AND, holds.

    Raises:
        StripeError: the query uses another field or operator.
    """
    query = params.need("query")
    limit = params.integer("limit", minimum=1) or 10
    tests = [_clause(text, fields) for text in re.split(r"\s+AND\s+", query, flags=re.IGNORECASE)]
    found = [
        resource
        for resource in resources
        if all((resource["metadata"].get(key) if key else resource[name]) == value for name, key, value in tests)
    ]
    return {
        "object": "search_result",
        "data": found[:limit],
        "has_more": len(found) > limit,
        "next_page": None,
        "url": url,
    }


def _clause(text: str, fields: tuple[str, ...]) -> tuple[str, str | None, str]:
    match = _CLAUSE.match(text)
    if (
        match is None
        or match["field"] not in (*fields, "metadata")
        or (match["field"] == "metadata") != bool(match["key"])
    ):
        raise errors.invalid(
            f"We were unable to parse your search query: {text}. This double searches {', '.join(fields)} and "
            "metadata['key'], each with `:` and a quoted value, joined by AND.",
            param="query",
        )
    return match["field"], match["key"], match["value"]
