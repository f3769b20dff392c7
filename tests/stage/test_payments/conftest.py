"""A Stripe double for each test, and the official SDK pointed at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import stripe

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, StripeDouble

NOW = 1_790_000_000

Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def double(authority: Authority) -> AsyncIterator[StripeDouble]:
    double = StripeDouble(authority=authority, seed="tests", clock=Clock(lambda: NOW))
    await double.start()
    yield double
    await double.close()
    assert double.crashes == []


@pytest.fixture
def http(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[stripe.HTTPClient]:
    """The SDK's ordinary HTTP client, trusting the run's authority."""
    monkeypatch.setattr(stripe, "ca_bundle_path", str(authority.ca_file))
    client = stripe.RequestsClient()
    yield client
    client.close()


@pytest.fixture
def client(double: StripeDouble, http: stripe.HTTPClient) -> stripe.StripeClient:
    """The SDK in its client style; it does not retry by itself."""
    return stripe.StripeClient(
        double.secret_key, base_addresses={"api": double.url}, http_client=http, max_network_retries=0
    )


@pytest.fixture
def call() -> Call:
    """Call the blocking SDK from a thread, as the double answers from this loop."""
    return asyncio.to_thread
