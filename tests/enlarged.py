"""An app with as many kinds of things as one likes (tests/large): a tenant's table and six routes for each kind."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from misfortune import OWNER, App, principal, process

LARGE = Path(__file__).with_name("large")


def kinds_of(count: int) -> list[str]:
    """Their names."""
    return [f"thing{number:02}" for number in range(1, count + 1)]


def enlarge(app: App, count: int) -> None:
    """Make it an app with ``count`` kinds of things, and ``6 * count`` routes with a permission."""
    kinds = kinds_of(count)
    app.source = LARGE
    app.document.clear()
    app.document |= {
        "app": {"name": "large"},
        "process": process(KINDS=" ".join(kinds)),
        "permissions": {f"{kind}.{right}": f"{right} {kind}s" for kind in kinds for right in ("read", "write")},
        "principals": {
            "owner": deepcopy(OWNER),
            "reader": principal(
                [f"{kind}.read" for kind in kinds],
                {},
                request="POST /members",
                json={"role": "reader"},
                **{"as": "owner"},
            ),
        },
        "resources": {
            kind: {
                "as": "owner",
                "steps": [
                    {
                        "request": f"POST /{kind}s",
                        "json": {"title": "{canary}"},
                        "capture": {f"{kind}_id": "id"},
                    }
                ],
            }
            for kind in kinds
        },
        "tenancy": {
            "tenant": "team_id",
            "tables": {"teams": "id", "members": "team_id", **{f"{kind}s": "team_id" for kind in kinds}},
        },
        "routes": {
            "POST /teams": {"public": "sign-up", "json": {"name": "New"}},
            **{key: route for kind in kinds for key, route in routes_of(kind).items()},
        },
    }


def routes_of(kind: str) -> dict[str, Any]:
    """The six routes of a kind."""
    one = f"/{kind}s/{{{kind}_id}}"
    return {
        f"GET /{kind}s": {"permission": f"{kind}.read"},
        f"POST /{kind}s": {"permission": f"{kind}.write", "json": {"title": "another"}},
        f"GET {one}": {"permission": f"{kind}.read"},
        f"PUT {one}": {"permission": f"{kind}.write", "json": {"title": "changed"}},
        f"DELETE {one}": {"permission": f"{kind}.write"},
        f"POST {one}/archive": {"permission": f"{kind}.write"},
    }
