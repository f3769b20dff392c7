"""The objects of each account. Stored objects are never changed in place, so a snapshot copies references only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]
"""One Stripe object as JSON. Names that begin with `_` are the double's own and never leave it."""


def clone(value: Any) -> Any:
    """A deep copy of JSON."""
    if isinstance(value, dict):
        return {name: clone(child) for name, child in value.items()}
    if isinstance(value, list):
        return [clone(child) for child in value]
    return value


@dataclass(kw_only=True)
class AccountStore:
    """The objects of one account, by kind (`customer`, `charge`, …), in the order of their creation."""

    account: str
    connected: bool
    kinds: dict[str, dict[str, Resource]] = field(default_factory=dict)

    def get(self, kind: str, identifier: str) -> Resource | None:
        """A copy of an object, or None."""
        found = self.kinds.get(kind, {}).get(identifier)
        return None if found is None else clone(found)

    def find(self, identifier: str) -> Resource | None:
        """A copy of an object of any kind, or None."""
        for objects in self.kinds.values():
            if identifier in objects:
                found: Resource = clone(objects[identifier])
                return found
        return None

    def put(self, resource: Resource) -> None:
        """Keep a copy; an object of the same id is replaced and keeps its place in the order."""
        self.kinds.setdefault(resource["object"], {})[resource["id"]] = clone(resource)

    def all(self, kind: str) -> Iterator[Resource]:
        """Copies of the objects of a kind, oldest first."""
        for resource in list(self.kinds.get(kind, {}).values()):
            yield clone(resource)

    def copy(self) -> "AccountStore":
        """A snapshot: new containers around the same, never changed, objects."""
        kinds = {kind: dict(objects) for kind, objects in self.kinds.items()}
        return AccountStore(account=self.account, connected=self.connected, kinds=kinds)
