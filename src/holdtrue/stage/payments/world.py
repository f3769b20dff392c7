"""Everything the double remembers, and how it is put back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from holdtrue.stage.payments.clock import Clock
from holdtrue.stage.payments.differences import previous_attributes
from holdtrue.stage.payments.ids import Ids
from holdtrue.stage.payments.store import AccountStore


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event, with its object as it was at that moment in the newest shape.

    `account` is set for a connected account only; `before`, the whole object as it was, for an update.
    `dataclasses.replace` makes variants, for instance one with `livemode=True`.
    """

    id: str
    type: str
    created: int
    object: Mapping[str, Any] = field(repr=False)
    before: Mapping[str, Any] | None = field(default=None, repr=False)
    account: str | None = None
    livemode: bool = False
    request_id: str | None = None
    idempotency_key: str | None = field(default=None, repr=False)

    @property
    def previous(self) -> Mapping[str, Any] | None:
        """The old values of what an update changed, in the newest shape; None for other events."""
        return None if self.before is None else previous_attributes(self.before, self.object)

    @property
    def object_id(self) -> str | None:
        """The id of the object the event is about."""
        identifier = self.object.get("id")
        return identifier if isinstance(identifier, str) else None


@dataclass(frozen=True, kw_only=True)
class Dunning:
    """The account's setting for renewals that are not paid.

    `retry_after_days` counts from each failed attempt to the next; `then` is what becomes of the subscription when the
    last one failed.
    """

    retry_after_days: tuple[int, ...] = (3, 5, 7)
    then: Literal["cancel", "unpaid", "past_due"] = "cancel"


@dataclass(kw_only=True)
class Script:
    """What the banks answer, when it is not the ordinary success, and what Stripe then does."""

    refunds: list[str] = field(default_factory=list)
    declined_customers: dict[str, str] = field(default_factory=dict)
    dunning: Dunning = Dunning()

    def copy(self) -> "Script":
        """An independent copy."""
        return replace(self, refunds=list(self.refunds), declined_customers=dict(self.declined_customers))


@dataclass(frozen=True, kw_only=True)
class WorldState:
    """A snapshot of a world."""

    accounts: Mapping[str, AccountStore] = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    delivered: frozenset[str]
    script: Script
    counts: Mapping[str, int]
    offset: float


class World:
    """All accounts, all events, the clock and the ids of one double."""

    def __init__(self, *, ids: Ids, clock: Clock, api_version: str) -> None:
        self.ids = ids
        self.clock = clock
        self.api_version = api_version
        self.platform = ids.next("account")
        self.accounts = {self.platform: AccountStore(account=self.platform, connected=False)}
        self.events: list[Event] = []
        self.delivered: set[str] = set()
        self.script = Script()

    def connect(self, account: str) -> AccountStore:
        """The store of a connected account, made when it is new."""
        return self.accounts.setdefault(account, AccountStore(account=account, connected=True))

    def owner(self, identifier: str) -> AccountStore:
        """The account that has an object.

        Raises:
            KeyError: no account has it.
        """
        for store in self.accounts.values():
            if store.find(identifier) is not None:
                return store
        raise KeyError(
            f"the Stripe double has no object '{identifier}' in any of its {len(self.accounts)} accounts: use an id "
            "that the app was given in this scenario (double.latest(kind), or double.calls, show them)"
        )

    def snapshot(self) -> WorldState:
        """The whole state; cheap, as stored objects are never changed in place."""
        return WorldState(
            accounts={name: store.copy() for name, store in self.accounts.items()},
            events=tuple(self.events),
            delivered=frozenset(self.delivered),
            script=self.script.copy(),
            counts=dict(self.ids.counts),
            offset=self.clock.offset,
        )

    def restore(self, state: WorldState) -> None:
        """Back to a snapshot, clock and id counters included."""
        self.accounts = {name: store.copy() for name, store in state.accounts.items()}
        self.events = list(state.events)
        self.delivered = set(state.delivered)
        self.script = state.script.copy()
        self.ids.counts = dict(state.counts)
        self.clock.offset = state.offset
