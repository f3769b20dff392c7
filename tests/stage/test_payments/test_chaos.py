"""Plans of deliveries are what their names say, are put together, and are carried out wave by wave."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import stripe

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, Delivery, Event, StripeDouble, chaos

Call = Callable[..., Awaitable[Any]]
TYPES = ("customer.created", "customer.subscription.updated", "customer.subscription.deleted", "invoice.paid")


@pytest.fixture
async def present(authority: Authority) -> AsyncIterator[StripeDouble]:
    """A double that lives in the present, as the SDK compares signatures with the wall clock."""
    yield StripeDouble(authority=authority, seed="chaos", clock=Clock(time.time))


@pytest.fixture
def events(present: StripeDouble) -> list[Event]:
    return [present.emit(type_, {"id": f"o_{at}", "object": "customer"}) for at, type_ in enumerate(TYPES)]


class App:
    """Takes what the official SDK takes, and remembers it."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.took: list[str] = []
        self.inside = 0
        self.most = 0

    async def send(self, delivery: Delivery) -> int | None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0)
        self.inside -= 1
        signature = dict(delivery.headers).get("Stripe-Signature")
        try:
            stripe.Webhook.construct_event(delivery.body, signature, self._secret)
        except stripe.SignatureVerificationError:
            return 400
        self.took.append(delivery.event_type)
        return 200


def shown(plan: chaos.Plan) -> list[list[str]]:
    return [[posting.event.type for posting in wave] for wave in plan]


def test_duplicates_come_after_one_another_or_at_once(events: list[Event]) -> None:
    plan = chaos.in_order(events[:2])
    first, second = TYPES[:2]
    assert shown(chaos.duplicate(plan, first, times=3)) == [[first], [first], [first], [second]]
    assert shown(chaos.twice_at_once(plan, "*.updated")) == [[first], [second, second]]
    assert shown(chaos.at_once(plan)) == [[first, second]]


def test_a_shuffle_is_another_order_and_the_same_for_the_same_seed(events: list[Event]) -> None:
    plan = chaos.in_order(events)
    orders = [shown(chaos.shuffle(plan, seed=str(seed))) for seed in range(12)]
    assert orders == [shown(chaos.shuffle(plan, seed=str(seed))) for seed in range(12)]
    assert shown(plan) not in orders
    assert all(sorted(order) == sorted(shown(plan)) for order in orders)
    assert len({str(order) for order in orders}) > 3
    assert shown(chaos.reverse(plan)) == shown(plan)[::-1]
    assert chaos.shuffle(plan[:1], seed="1") == plan[:1]


def test_what_is_dropped_never_arrives_and_what_is_postponed_arrives_last(events: list[Event]) -> None:
    plan = chaos.in_order(events)
    assert shown(chaos.drop(plan, lambda event: event.type == TYPES[0])) == [[name] for name in TYPES[1:]]
    late = chaos.postpone(plan, "customer.subscription.updated", seconds=5)
    assert shown(late) == [[TYPES[0]], [TYPES[2]], [TYPES[3]], [TYPES[1]]]
    assert late[-1][0].after == 5
    assert chaos.drop(plan) == ()


async def test_a_plan_is_carried_out_and_what_was_taken_counts_as_delivered(
    present: StripeDouble, events: list[Event]
) -> None:
    app = App(present.webhook_secret)
    plan = chaos.drop(chaos.duplicate(chaos.in_order(events), "invoice.*"), "customer.created")
    sent = await chaos.play(plan, present.webhooks, app.send, advance=present.advance)
    assert app.took == [TYPES[1], TYPES[2], TYPES[3], TYPES[3]]
    assert [one.status for one in sent] == [200] * 4
    assert present.world.delivered == {event.id for event in events[1:]}


async def test_a_wave_is_in_flight_together(present: StripeDouble, events: list[Event]) -> None:
    app = App(present.webhook_secret)
    await chaos.play(chaos.in_order(events), present.webhooks, app.send, advance=present.advance)
    assert app.most == 1
    await chaos.play(chaos.at_once(chaos.in_order(events)), present.webhooks, app.send, advance=present.advance)
    assert app.most == len(events)


async def test_forged_and_replayed_deliveries_are_refused_and_the_genuine_one_is_not(
    present: StripeDouble, events: list[Event]
) -> None:
    app = App(present.webhook_secret)
    genuine = chaos.in_order(events[:1])
    plan = chaos.then(
        chaos.forge(genuine, "tampered_body"), chaos.forge(genuine, "unsigned"), chaos.replay_old(genuine)
    )
    sent = await chaos.play(plan, present.webhooks, app.send, advance=present.advance)
    assert [one.status for one in sent] == [400, 400, 200, 400]
    assert [one.posting.forgery for one in sent] == ["tampered_body", "unsigned", None, None]
    ahead = chaos.from_the_future(genuine)
    assert (await chaos.play(ahead, present.webhooks, app.send, advance=present.advance))[0].status == 200


async def test_an_answer_that_is_lost_brings_the_delivery_again(present: StripeDouble, events: list[Event]) -> None:
    app = App(present.webhook_secret)
    plan = chaos.lose_answer(chaos.in_order(events[:2]), "customer.created")
    sent = await chaos.play(plan[:1], present.webhooks, app.send, advance=present.advance)
    assert [one.status for one in sent] == [None]
    assert (app.took, present.world.delivered) == ([TYPES[0]], set())
    await chaos.play(plan[1:], present.webhooks, app.send, advance=present.advance)
    assert app.took == [TYPES[0], TYPES[0], TYPES[1]]


async def test_a_delay_lets_stripes_time_pass(present: StripeDouble, events: list[Event]) -> None:
    app = App(present.webhook_secret)
    with present.world.clock.still():
        before = present.world.clock.now()
        plan = chaos.delay(chaos.in_order(events), "invoice.*", seconds=90)
        await chaos.play(plan, present.webhooks, app.send, advance=present.advance)
        assert present.world.clock.now() == before + 90
    assert app.took == list(TYPES)


async def test_a_webhook_arrives_before_the_answer_to_the_call_that_caused_it(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    with double.hold("POST /v1/customers", after=True) as hold:
        asked = asyncio.create_task(call(client.v1.customers.create, {"name": "A"}))
        await hold.arrived.wait()
        (event,) = double.events
        assert (event.type, asked.done()) == ("customer.created", False)
        body = double.webhooks.delivery(event).body.decode()
        hold.release()
        customer = await asked
    assert f'"id": "{customer.id}"' in body
