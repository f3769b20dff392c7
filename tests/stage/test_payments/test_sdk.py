"""The official Python SDK in its three styles: it notices no difference from Stripe."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from holdtrue.stage.payments import StripeDouble

Call = Callable[..., Awaitable[Any]]

LINE = {"quantity": 2, "price_data": {"currency": "eur", "unit_amount": 1999, "product_data": {"name": "Tea"}}}
CHECKOUT: dict[str, Any] = {"mode": "payment", "success_url": "https://app.example.com/ok", "line_items": [LINE]}


async def test_the_module_level_style_takes_a_payment(
    double: StripeDouble, http: stripe.HTTPClient, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"api_key": double.secret_key, "api_base": double.url, "default_http_client": http}.items():
        monkeypatch.setattr(stripe, name, value)
    customer = await call(stripe.Customer.create, email="a@example.com", metadata={"tenant": "7"})
    session = await call(stripe.checkout.Session.create, **CHECKOUT, customer=customer.id)
    assert session.amount_total == 3998
    assert session.url == f"https://checkout.stripe.com/c/pay/{session.id}"

    double.customer.pay(session.id)
    paid = await call(
        stripe.checkout.Session.retrieve, session.id, expand=["payment_intent.latest_charge", "line_items"]
    )
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert paid.payment_intent.latest_charge.amount_captured == 3998
    assert [line.description for line in paid.line_items.data] == ["Tea"]

    refund = await call(stripe.Refund.create, payment_intent=paid.payment_intent.id, amount=998)
    assert (refund.status, refund.amount) == ("succeeded", 998)
    changed = await call(stripe.Customer.modify, customer.id, metadata={"tenant": "", "plan": "pro"})
    assert changed.metadata.to_dict() == {"plan": "pro"}
    deleted = await call(stripe.Customer.delete, customer.id)
    assert deleted.deleted is True


async def test_the_client_style_sells_a_subscription(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    product = await call(client.v1.products.create, {"name": "Pro"})
    price = await call(
        client.v1.prices.create,
        {"product": product.id, "currency": "usd", "unit_amount": 1500, "recurring": {"interval": "month"}},
    )
    customer = await call(client.v1.customers.create, {"email": "b@example.com"})
    method = await call(client.v1.payment_methods.attach, "pm_card_visa", {"customer": customer.id})
    await call(client.v1.customers.update, customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    subscription = await call(
        client.v1.subscriptions.create,
        {"customer": customer.id, "items": [{"price": price.id}], "expand": ["latest_invoice.payments"]},
    )
    assert subscription.status == "active"
    assert subscription.latest_invoice.status == "paid"
    assert subscription.latest_invoice.payments.data[0].amount_paid == 1500
    assert subscription["items"].data[0].current_period_end > subscription.created

    ending = await call(client.v1.subscriptions.update, subscription.id, {"cancel_at_period_end": True})
    assert (ending.status, ending.cancel_at_period_end) == ("active", True)
    gone = await call(client.v1.subscriptions.cancel, subscription.id)
    assert gone.status == "canceled"
    listed = await call(client.v1.subscriptions.list, {"customer": customer.id})
    assert listed.data == []


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the SDK's own use of httpx
async def test_the_async_style_pages_through_every_object(double: StripeDouble, http: stripe.HTTPClient) -> None:
    http = stripe.HTTPXClient()
    client = stripe.StripeClient(double.secret_key, base_addresses={"api": double.url}, http_client=http)
    made = [(await client.v1.customers.create_async({"name": str(number)})).id for number in range(7)]

    first = await client.v1.customers.list_async({"limit": 3})
    seen = [customer.id async for customer in first.auto_paging_iter()]
    assert seen == made[::-1]
    assert first.has_more

    newer = await client.v1.customers.list_async({"limit": 2, "ending_before": made[2]})
    assert [customer.id for customer in newer.data] == [made[4], made[3]]
    assert [customer.id async for customer in newer.auto_paging_iter()] == made[3:]
    found = await client.v1.customers.search_async({"query": "name:'4'"})
    assert [customer.id for customer in found.data] == [made[4]]
    await http.close_async()


async def test_events_are_listed_newest_first_and_found_by_type_time_cursor_and_delivery(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    for number in range(3):
        await call(client.v1.customers.create, {"name": str(number)})
    double.advance(60)
    await call(client.v1.products.create, {"name": "Tea"})

    everything = await call(client.v1.events.list, {})
    assert [event.type for event in everything.data] == ["product.created"] + ["customer.created"] * 3
    typed = await call(client.v1.events.list, {"types": ["customer.created", "invoice.paid"], "limit": 2})
    assert [event.data.object.name for event in typed.data] == ["2", "1"]
    assert typed.has_more
    recent = await call(client.v1.events.list, {"created": {"gt": everything.data[1].created}})
    assert [event.type for event in recent.data] == ["product.created"]
    missed = await call(client.v1.events.list, {"ending_before": everything.data[2].id, "type": "customer.created"})
    assert [event.data.object.name for event in missed.data] == ["2"]

    double.webhooks.mark_delivered(double.events[0])
    undelivered = await call(client.v1.events.list, {"delivery_success": False})
    assert [event.type for event in undelivered.data] == ["product.created", "customer.created", "customer.created"]
    one = await call(client.v1.events.retrieve, everything.data[0].id)
    assert one.to_dict() == everything.data[0].to_dict()


async def test_a_declined_card_is_a_card_error_with_its_intent(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await call(
            client.v1.payment_intents.create,
            {
                "amount": 2000,
                "currency": "usd",
                "payment_method": "pm_card_chargeDeclinedInsufficientFunds",
                "confirm": True,
            },
        )
    error = caught.value
    assert (error.code, error.http_status) == ("card_declined", 402)
    assert error.error.decline_code == "insufficient_funds"
    assert error.error.payment_intent.status == "requires_payment_method"
    assert error.request_id
    assert double.latest("charge")["status"] == "failed"


async def test_refusals_carry_stripes_type_code_and_parameter(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    async def refused(function: Any, *arguments: Any) -> tuple[int | None, str | None, str | None]:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await call(function, *arguments)
        return caught.value.http_status, caught.value.code, caught.value.param

    customers, intents = client.v1.customers, client.v1.payment_intents
    assert await refused(customers.retrieve, "cus_nobody") == (404, "resource_missing", "id")
    assert await refused(customers.create, {"emial": "x"}) == (400, "parameter_unknown", "emial")
    assert await refused(customers.create, {"email": "nobody"}) == (400, "email_invalid", "email")
    assert await refused(intents.create, {"currency": "usd"}) == (400, "parameter_missing", "amount")
    assert await refused(intents.create, {"amount": "12.5", "currency": "usd"}) == (
        400,
        "parameter_invalid_integer",
        "amount",
    )
    assert await refused(intents.create, {"amount": 10, "currency": "usd"}) == (400, "amount_too_small", "amount")
    assert await refused(intents.create, {"amount": 500, "currency": "usd", "customer": "cus_nobody"}) == (
        400,
        "resource_missing",
        "customer",
    )
    line = {"price": "price_nothing", "quantity": 1}
    assert await refused(client.v1.checkout.sessions.create, {**CHECKOUT, "line_items": [line]}) == (
        400,
        "resource_missing",
        "line_items[0][price]",
    )
    assert double.events == ()


async def test_a_wrong_key_and_a_foreign_account_are_refused_without_telling_the_key(
    double: StripeDouble, http: stripe.HTTPClient, client: stripe.StripeClient, call: Call
) -> None:
    key = "sk_test_" + "x" * 30 + "tail"
    stranger = stripe.StripeClient(key, base_addresses={"api": double.url}, http_client=http)
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided") as caught:
        await call(stranger.v1.customers.list)
    assert key not in str(caught.value)

    publishable = stripe.StripeClient(double.publishable_key, base_addresses={"api": double.url}, http_client=http)
    with pytest.raises(stripe.PermissionError, match="publishable API key"):
        await call(publishable.v1.customers.list)
    with pytest.raises(stripe.PermissionError, match="does not have access to account 'acct_nobody'"):
        await call(client.v1.customers.list, {}, {"stripe_account": "acct_nobody"})


async def test_what_is_not_modelled_is_an_unknown_url_and_is_listed(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"Unrecognized request URL \(GET: /v1/topups\)"):
        await call(client.v1.topups.list)
    await call(client.v1.customers.create, {"name": "A", "tax": {"ip_address": "192.0.2.1"}})

    assert double.unmodelled == ["GET /v1/topups", "POST /v1/customers: tax"]


async def test_the_answer_names_its_request_and_version(
    double: StripeDouble, client: stripe.StripeClient, call: Call
) -> None:
    customer = await call(client.v1.customers.create, {"name": "A"})
    headers = customer.last_response.headers
    assert headers["request-id"].startswith("req_")
    assert headers["stripe-version"] == stripe.api_version
    (event,) = double.events
    assert (event.request_id, event.object_id) == (headers["request-id"], customer.id)
