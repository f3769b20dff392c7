"""What purchases leave at the provider, and what becomes of it there: subscriptions, charges that are refunded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial

from holdtrue.guarantees.base import Absent, Untried
from holdtrue.guarantees.payments.aftermath import Chapter, Life, Order
from holdtrue.guarantees.payments.bought import NEUTRAL, Bought, purchases
from holdtrue.stage import Stage
from holdtrue.stage.database import difference
from holdtrue.stage.payments import Event
from holdtrue.stage.play import deliver
from holdtrue.stage.scene import Scene
from holdtrue.stage.steps import StepFailedError

UNPAID, PAID, ENDED = 1, 2, 3
"""The chapters of a subscription."""
FIRST_REFUND, SECOND_REFUND = 1, 2
"""The chapters of a charge that is refunded in part, twice."""
PENDING, SETTLED = 1, 2
"""The chapters of a refund that takes time."""
SEATS = 3
"""A quantity that is not one more than before: a number that goes up by one may be a counter."""


async def kept(bought: Bought) -> Scene:
    """Bought and delivered, in order; saved once for each stage.

    Raises:
        StepFailedError: an event is not taken.
    """
    return await bought.stage.once((kept, bought.name), partial(_keep, bought))


async def _keep(bought: Bought) -> Scene:
    await bought.begin(bought.scene)
    await bought.in_order()
    return await bought.stage.save()


async def bookkeeping(bought: Bought) -> frozenset[str]:
    """The tables that an event changes which means nothing; found once for each stage."""
    return await bought.stage.once((bookkeeping, bought.webhook), partial(_note_nothing, bought))


async def _note_nothing(bought: Bought) -> frozenset[str]:
    stage, scene = bought.stage, await kept(bought)
    await bought.begin(scene)
    neutral = stage.payments.webhooks.delivery(stage.payments.emit(*NEUTRAL))
    await deliver(stage, bought.webhook, neutral, note="an event that means nothing")
    await stage.rest()
    return frozenset(difference(scene.rows, await stage.rows(), stage.scene.catalog).tables)


async def subscriptions(stage: Stage) -> list[Life | Untried]:
    """Subscriptions: more seats whose payment fails, the payment made good, the end."""
    return await _lives(stage, "subscription", _subscription)


async def refunded_charges(stage: Stage) -> list[Life | Untried]:
    """Charges of which somebody refunds a part, and then another part, in the provider's dashboard."""
    return await _lives(stage, "charge", _refunded)


async def slow_refunds(stage: Stage) -> list[Life | Untried]:
    """Refunds made in the dashboard that are pending at first, and succeed later."""
    return await _lives(stage, "refund", _slow)


Heard = tuple[Callable[[Stage], Awaitable[list[Life | Untried]]], Order, str]
"""Which objects are told of, in which order, and what that is called."""


async def heeding(stage: Stage, orders: Iterable[Heard]) -> AsyncIterator[tuple[Life, Order, str] | Untried | Absent]:
    """The objects whose news an app acts on, with each order in which it may hear of them."""
    heeded = False
    for lives, order, name in orders:
        for life in await lives(stage):
            if isinstance(life, Untried):
                yield life
            elif life.heeded(order.older, order.newer):
                heeded = True
                yield life, order, name
    if not heeded:
        yield Absent(reason="what follows a purchase (refunds, changes of a subscription) changes nothing in the app")


def charge_of(bought: Bought) -> str | None:
    """The charge that a one-time payment left at the provider; None where none was made."""
    payments = bought.stage.payments
    session = payments.sessions[-1]
    intent = session["payment_intent"]
    found = [each for each in payments.all("charge") if each["payment_intent"] == intent and each["captured"]]
    return str(found[-1]["id"]) if intent is not None and session["mode"] == "payment" and found else None


def amount_of(bought: Bought, charge: str) -> int:
    """What of a charge could be captured, in minor units."""
    return next(int(each["amount_captured"]) for each in bought.stage.payments.all("charge") if each["id"] == charge)


def left_of(bought: Bought, charge: str) -> int:
    """What of a charge is not given back yet, in minor units: the app may refund a part when it is paid."""
    found = next(each for each in bought.stage.payments.all("charge") if each["id"] == charge)
    return int(found["amount_captured"]) - int(found["amount_refunded"])


async def _lives(stage: Stage, kind: str, chapters: Callable[[Bought], list[Chapter]]) -> list[Life | Untried]:
    return await stage.once((_lives, kind), partial(_live, stage, kind, chapters))


async def _live(stage: Stage, kind: str, chapters: Callable[[Bought], list[Chapter]]) -> list[Life | Untried]:
    found = [await _life(bought, kind, chapters) for bought in await purchases(stage)]
    return [each for each in found if each is not None]


async def _life(
    bought: Bought | Untried, kind: str, chapters: Callable[[Bought], list[Chapter]]
) -> Life | Untried | None:
    if isinstance(bought, Untried):
        return bought
    try:
        scene = await kept(bought)
        await bought.begin(scene)
        found = chapters(bought)
        if not found:
            return None
        life = Life(bought=bought, kind=kind, chapters=found, kept=scene)
        await life.learn()
    except StepFailedError as error:
        return Untried(subject=f"{bought.name} {kind}", reason=str(error))
    return life


# -- what the provider does ------------------------------------------------------------------------------------------


def _subscription(bought: Bought) -> list[Chapter]:
    session = bought.stage.payments.sessions[-1]
    subscription, customer = session["subscription"], session["customer"]
    if subscription is None:
        return []
    payments = bought.stage.payments

    def fails() -> Sequence[Event]:
        payments.bank.decline_customer(customer)
        return payments.customer.change_subscription(subscription, quantity=SEATS)

    def pays() -> Sequence[Event]:
        payments.bank.decline_customer(customer, None)
        return payments.customer.pay_invoice(payments.latest("invoice")["id"])

    def ends() -> Sequence[Event]:
        return payments.customer.cancel(subscription, at_period_end=False)

    return [
        Chapter(told="a payment for it failed", act=partial(_last_of, bought, subscription, fails)),
        Chapter(told="the payment was made good", act=partial(_last_of, bought, subscription, pays)),
        Chapter(told="it was ended", act=partial(_last_of, bought, subscription, ends)),
    ]


def _last_of(bought: Bought, identifier: str, act: Callable[[], Sequence[Event]]) -> Sequence[Event]:
    """The last event about the object itself: what came just before is overtaken within the same second.

    Those before it are never delivered, and so must not be found by who asks for lost ones: they would mend the rest.
    """
    about = [event for event in act() if event.object_id == identifier]
    bought.stage.payments.withdraw(about[:-1])
    return about[-1:]


def _refunded(bought: Bought) -> list[Chapter]:
    charge = charge_of(bought)
    amount, left = (amount_of(bought, charge), left_of(bought, charge)) if charge else (0, 0)
    parts = (left // 4, left // 2)
    if charge is None or not parts[0]:
        return []
    return [
        Chapter(told=f"{part} of {amount} were refunded", act=partial(_refund, bought, charge, part)) for part in parts
    ]


def _refund(bought: Bought, charge: str, amount: int | None) -> Sequence[Event]:
    """Refund a part in the provider's dashboard; raises StepFailedError where the app has given too much back."""
    try:
        return bought.stage.payments.bank.refund(charge, amount)
    except ValueError as error:
        raise StepFailedError(
            f"the app itself gave money back meanwhile: {error}",
            where=bought.name,
            why="What is left cannot be refunded in part, twice, in the provider's dashboard.",
        ) from error


def _slow(bought: Bought) -> list[Chapter]:
    charge, payments = charge_of(bought), bought.stage.payments
    if charge is None:
        return []
    part = left_of(bought, charge) // 2

    def begins() -> Sequence[Event]:
        payments.bank.script_refunds("pending")
        return _refund(bought, charge, part or None)

    def settles() -> Sequence[Event]:
        # The newest one may be the app's own, made when it was told of this one.
        pending = [each["id"] for each in payments.all("refund") if each["status"] == "pending"]
        return payments.bank.settle_refund(pending[-1], "succeeded")

    return [
        Chapter(told="it was made, and was pending", act=begins),
        Chapter(told="it succeeded", act=settles),
    ]
