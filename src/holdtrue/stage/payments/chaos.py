"""What happens to deliveries between Stripe and an app, as small functions that are put together.

A plan is what Stripe sends: `chaos.duplicate(chaos.shuffle(chaos.in_order(events), seed="7"), "invoice.*")`. Stripe
promises neither order nor single delivery (https://docs.stripe.com/webhooks#event-ordering).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from holdtrue.stage.payments.webhooks import Delivery, Forgery, Webhooks
from holdtrue.stage.payments.world import Event

_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Posting:
    """One delivery that is planned.

    `forgery` makes it one that the app must refuse; `claims` is by how many seconds the time in its signature differs
    from the time of sending; `after` is how many seconds of Stripe's time pass before it is sent; an `unheard` one
    reaches the app, but its answer gets lost.
    """

    event: Event
    forgery: Forgery | None = None
    claims: int = 0
    after: float = 0.0
    unheard: bool = False


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of a posting: the status that Stripe saw, None where it saw none."""

    posting: Posting
    status: int | None


Plan = tuple[tuple[Posting, ...], ...]
"""Waves: the postings of one wave are sent at once, the next wave when all of them are answered."""
Which = str | Callable[[Event], bool] | None
"""The events that are meant: by type with `*` for any part, by a predicate, or None for all."""
Send = Callable[[Delivery], Awaitable[int | None]]
"""Posts a delivery to the app and answers the status, None where there was no answer."""


def in_order(events: Iterable[Event]) -> Plan:
    """Each once, in the order in which they happened."""
    return tuple((Posting(event=event),) for event in events)


def then(*plans: Plan) -> Plan:
    """One plan after the other."""
    return tuple(wave for plan in plans for wave in plan)


def duplicate(plan: Plan, which: Which = None, *, times: int = 2) -> Plan:
    """Deliver what is meant again, right after the first time."""
    return then(*((wave, *[again] * (times - 1)) if (again := _meant(wave, which)) else (wave,) for wave in plan))


def twice_at_once(plan: Plan, which: Which = None) -> Plan:
    """Deliver what is meant twice at the same moment."""
    return tuple((*wave, *_meant(wave, which)) for wave in plan)


def at_once(plan: Plan) -> Plan:
    """Everything at the same moment."""
    return (tuple(posting for wave in plan for posting in wave),)


def shuffle(plan: Plan, *, seed: str) -> Plan:
    """Another order, the same for the same seed; never the given one where there is another."""
    order = list(range(len(plan)))
    generator = random.Random(seed)  # noqa: S311 (a rehearsal must be repeatable)
    while len(plan) > 1 and order == sorted(order):
        generator.shuffle(order)
    return tuple(plan[at] for at in order)


def reverse(plan: Plan) -> Plan:
    """The newest first."""
    return plan[::-1]


def drop(plan: Plan, which: Which = None) -> Plan:
    """What is meant never arrives."""
    kept = (tuple(posting for posting in wave if not _is(posting.event, which)) for wave in plan)
    return tuple(wave for wave in kept if wave)


def postpone(plan: Plan, which: Which = None, *, seconds: float = 0.0) -> Plan:
    """What is meant arrives last, `seconds` later: an update, for instance, after the deletion that followed it."""
    late = [(replace(posting, after=seconds),) for wave in plan for posting in _meant(wave, which)]
    return then(drop(plan, which), tuple(late))


def delay(plan: Plan, which: Which = None, *, seconds: float) -> Plan:
    """What is meant, and all that follows it, arrives `seconds` later, and in order."""
    return _each(plan, which, lambda posting: replace(posting, after=posting.after + seconds))


def forge(plan: Plan, how: Forgery, which: Which = None) -> Plan:
    """What is meant is not Stripe's: see `Webhooks.forge` for the kinds."""
    return _each(plan, which, lambda posting: replace(posting, forgery=how))


def replay_old(plan: Plan, which: Which = None, *, seconds: int = _HOUR) -> Plan:
    """After everything, what is meant once more with its signature of back then, which an app must find too old."""
    old = [(replace(posting, claims=-seconds),) for wave in plan for posting in _meant(wave, which)]
    return then(plan, tuple(old))


def from_the_future(plan: Plan, which: Which = None, *, seconds: int = _HOUR) -> Plan:
    """What is meant has a right signature with a time that has not come, as from a clock that is wrong."""
    return _each(plan, which, lambda posting: replace(posting, claims=seconds))


def lose_answer(plan: Plan, which: Which = None) -> Plan:
    """The app takes what is meant, Stripe does not hear of it, and delivers it again."""
    waves = []
    for wave in plan:
        unheard = tuple(replace(posting, unheard=_is(posting.event, which)) for posting in wave)
        waves += [unheard, again] if (again := _meant(wave, which)) else [wave]
    return tuple(waves)


async def play(plan: Plan, webhooks: Webhooks, send: Send, *, advance: Callable[[float], object]) -> list[Sent]:
    """Carry a plan out; answers what came of each posting, wave by wave.

    `advance` lets Stripe's time pass (`StripeDouble.advance`). An event whose genuine delivery was heard to be taken
    is delivered from then on, for `delivery_success`.
    """
    sent: list[Sent] = []
    for wave in plan:
        pause = max((posting.after for posting in wave), default=0.0)
        if pause:
            advance(pause)
        deliveries = [delivery_of(posting, webhooks) for posting in wave]
        statuses = await asyncio.gather(*(send(delivery) for delivery in deliveries))
        for posting, status in zip(wave, statuses, strict=True):
            heard = None if posting.unheard else status
            sent.append(Sent(posting=posting, status=heard))
            if heard is not None and heard // 100 == 2 and posting.forgery is None:
                webhooks.mark_delivered(posting.event)
    return sent


def delivery_of(posting: Posting, webhooks: Webhooks) -> Delivery:
    """The delivery of a posting, signed now."""
    at = webhooks.now() + posting.claims
    if posting.forgery is not None:
        return webhooks.forge(posting.event, posting.forgery, at=at)
    return webhooks.delivery(posting.event, at=at)


def _each(plan: Plan, which: Which, change: Callable[[Posting], Posting]) -> Plan:
    return tuple(tuple(change(posting) if _is(posting.event, which) else posting for posting in wave) for wave in plan)


def _meant(wave: tuple[Posting, ...], which: Which) -> tuple[Posting, ...]:
    return tuple(posting for posting in wave if _is(posting.event, which))


def _is(event: Event, which: Which) -> bool:
    if which is None:
        return True
    return which(event) if callable(which) else fnmatchcase(event.type, which)
