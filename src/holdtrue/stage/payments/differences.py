"""What an update changed (https://docs.stripe.com/api/events/object#event_object-data-previous_attributes)."""

from collections.abc import Mapping
from typing import Any

from holdtrue.stage.payments.store import clone


def previous_attributes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The old values of what changed: of a nested hash only the keys that changed, of a list the whole."""
    told: dict[str, Any] = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if name.startswith("_") or old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and old.get("id") == new.get("id"):
            told[name] = previous_attributes(old, new)
        else:
            told[name] = clone(old)
    return told
