"""The official Python and Node SDKs run one table of calls, and see the same."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import stripe

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, StripeDouble

from .calls import TABLE, Step
from .conftest import NOW
from .hands import NodeHand, PythonHand, plain, run

NODE = Path(__file__).parent / "node_stripe"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver with its SDK installed, as the lock pins it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: the Node SDK cannot be tried")
    where = tmp_path_factory.mktemp("node") / "driver"
    shutil.copytree(NODE, where)
    install = ("npm", "ci", "--prefer-offline", "--ignore-scripts")
    npm = subprocess.run(install, cwd=where, capture_output=True, text=True, check=False)
    if npm.returncode != 0:
        pytest.skip(f"npm cannot install the stripe package here: {npm.stderr.strip()[-300:]}")
    return where


@asynccontextmanager
async def node(driver: Path, double: StripeDouble, authority: Authority) -> AsyncIterator[NodeHand]:
    """The Node SDK, pointed at a double."""
    settings = {
        "STRIPE_KEY": double.secret_key,
        "STRIPE_PORT": str(double.port),
        "NODE_EXTRA_CA_CERTS": str(authority.ca_file),
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        "driver.mjs",
        cwd=driver,
        env={**os.environ, **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    try:
        yield NodeHand(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        assert await process.wait() == 0


def comparable(seen: tuple[str, object]) -> list[object]:
    """Without what is random: the keys that the Python SDK makes up for itself, and the end of the API key."""

    def known(pair: dict[str, object]) -> dict[str, object]:
        return {name: None if name == "idempotency_key" else value for name, value in pair.items()}

    return list(json.loads(re.sub(r"\*{8,}\w{4}", "*", json.dumps(plain(seen))), object_hook=known))


async def test_both_sdks_see_the_same(authority: Authority, driver: Path, http: stripe.HTTPClient) -> None:
    seen = []
    for language in ("python", "node"):
        double = StripeDouble(authority=authority, seed="both", clock=Clock(lambda: NOW))
        await double.start()
        if language == "node":
            async with node(driver, double, authority) as hand:
                seen.append(await run(TABLE, double, hand))
        else:
            base = {"api": double.url}
            client = stripe.StripeClient(
                double.secret_key, base_addresses=base, http_client=http, max_network_retries=0
            )
            seen.append(await run(TABLE, double, PythonHand(client)))
        await double.close()
        assert double.crashes == []
        assert double.unmodelled == ["GET /v1/topups"]
    by_python, by_node = seen
    for python_saw, node_saw in zip(by_python, by_node, strict=True):
        assert comparable(python_saw) == comparable(node_saw)


async def test_the_node_sdk_pages_and_verifies_and_refuses_a_tampered_delivery(
    authority: Authority, driver: Path
) -> None:
    double = StripeDouble(authority=authority, seed="node", clock=Clock(time.time))
    await double.start()
    event = double.emit("invoice.paid", {"id": "in_1", "object": "invoice"})
    delivery = double.webhooks.delivery(event)
    told = {
        "body": delivery.body.decode(),
        "signature": dict(delivery.headers)["Stripe-Signature"],
        "secret": double.webhook_secret,
    }
    async with node(driver, double, authority) as hand:

        async def ask(call: str, *args: object) -> dict[str, object]:
            return await hand.call(Step(node=call), list(args), {})

        made = [(await ask("customers.create", {"name": name}))["value"]["id"] for name in "abc"]
        assert (await ask("customers.everyone"))["value"] == made[::-1]
        assert (await ask("webhooks.constructEvent", told))["value"] == {"id": event.id, "type": "invoice.paid"}
        refused = await ask("webhooks.constructEvent", {**told, "body": told["body"] + " "})
        assert refused["error"]["type"] == "SignatureVerificationError"
    await double.close()
