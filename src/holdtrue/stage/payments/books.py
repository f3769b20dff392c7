"""What a request, or the scripted customer, may touch: the objects of one account, the clock, new ids, new events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from holdtrue.stage.payments import errors, versions
from holdtrue.stage.payments.differences import previous_attributes
from holdtrue.stage.payments.store import AccountStore, Resource, clone
from holdtrue.stage.payments.world import Event, World

# Stripe writes this one kind differently in its messages.
_WORDS = {"payment_method": "PaymentMethod"}


@dataclass(frozen=True, kw_only=True)
class Books:
    """One account, seen by one request (`request_id`) or by the world outside (`request_id` None)."""

    world: World
    account: str
    version: str
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def store(self) -> AccountStore:
        """The account's objects; looked up each time, as the world may be put back while a request is held."""
        return self.world.accounts[self.account]

    def now(self) -> int:
        """The double's present, in seconds."""
        return self.world.clock.now()

    def new_id(self, kind: str) -> str:
        """A fresh id of a kind."""
        return self.world.ids.next(kind)

    def at_least(self, version: str) -> bool:
        """Whether the request's API version is this one or newer."""
        return versions.at_least(self.version, version)

    def get(self, kind: str, identifier: str, *, param: str | None = None) -> Resource:
        """A copy of the object of the URL (404), or of the one that a parameter names (400, and not a deleted one).

        Raises:
            StripeError: this account has no such object.
        """
        found = self.store.get(kind, identifier)
        if found is None or (found.get("deleted") and param is not None):
            raise errors.no_such(_WORDS.get(kind, kind), identifier, param=param)
        return found

    def live(self, kind: str, identifier: str) -> Resource:
        """A copy of the object of the URL, to be changed: a deleted one is as good as none.

        Raises:
            StripeError: this account has no such object.
        """
        found = self.get(kind, identifier)
        if found.get("deleted"):
            raise errors.no_such(_WORDS.get(kind, kind), identifier)
        return found

    def all(self, kind: str) -> Iterator[Resource]:
        """Copies of all objects of a kind that are not deleted, oldest first."""
        return (resource for resource in self.store.all(kind) if not resource.get("deleted"))

    def save(self, resource: Resource) -> Resource:
        """Keep an object; the caller's copy stays its own."""
        self.store.put(resource)
        return resource

    def change(self, resource: Resource, event: str | None, **changes: Any) -> Resource:
        """Save an object with some fields changed; tell of it, old values included, where an event type is given.

        Where nothing changed there is nothing to tell.
        """
        before: Resource = clone(resource)
        resource.update(changes)
        self.save(resource)
        if event is not None and previous_attributes(before, resource):
            self.emit(event, resource, before)
        return resource

    def emit(self, type_: str, resource: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Event:
        """Record an event with the object as it is now and, for an update, as it was."""
        event = Event(
            id=self.new_id("event"),
            type=type_,
            created=self.now(),
            object=clone(dict(resource)),
            before=None if before is None else clone(dict(before)),
            account=self.store.account if self.store.connected else None,
            request_id=self.request_id,
            idempotency_key=self.idempotency_key,
        )
        self.world.events.append(event)
        return event

    def events(self) -> Iterator[Event]:
        """The account's events, newest first."""
        account = self.store.account if self.store.connected else None
        return (event for event in reversed(self.world.events) if event.account == account)
