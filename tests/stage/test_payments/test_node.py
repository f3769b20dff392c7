"""The official Node SDK against the double."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdtrue.stage.http import Authority
from holdtrue.stage.payments import Clock, StripeDouble

PROBE = Path(__file__).parent / "node_stripe"


async def run(*command: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def probe(tmp_path: Path) -> AsyncIterator[Path]:
    """The probe with its SDK installed, as the lock pins it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: the Node SDK cannot be tried")
    where = tmp_path / "probe"
    shutil.copytree(PROBE, where)
    status, _, trouble = await run("npm", "ci", "--prefer-offline", "--ignore-scripts", cwd=where)
    if status != 0:
        pytest.skip(f"npm cannot install the stripe package here: {trouble.strip()[-300:]}")
    yield where


async def test_the_node_sdk_notices_no_difference(authority: Authority, probe: Path) -> None:
    double = StripeDouble(authority=authority, seed="node", clock=Clock(time.time))
    await double.start()
    event = double.emit("invoice.paid", {"id": "in_1", "object": "invoice"})
    delivery = double.webhooks.delivery(event, api_version="2026-10-28.endive")
    status, out, err = await run(
        "node",
        "probe.mjs",
        cwd=probe,
        STRIPE_KEY=double.secret_key,
        STRIPE_PORT=str(double.port),
        NODE_EXTRA_CA_CERTS=str(authority.ca_file),
        WEBHOOK_SECRET=double.webhook_secret,
        WEBHOOK_BODY=delivery.body.decode(),
        WEBHOOK_SIGNATURE=dict(delivery.headers)["Stripe-Signature"],
    )
    await double.close()

    assert (status, err) == (0, "")
    seen = json.loads(out)
    assert seen["session"] == {"id": double.sessions[0]["id"], "total": 2100, "lines": 1}
    assert seen["refund"] == {"status": "succeeded", "repeated": True}
    assert seen["tooMuch"] == {"type": "StripeInvalidRequestError", "code": None}
    assert seen["mismatch"]["type"] == "StripeIdempotencyError"
    assert seen["declined"] == {"type": "StripeCardError", "code": "card_declined"}
    assert seen["customers"] == ["c", "b", "a"]
    assert (seen["event"], seen["tampered"]) == ({"type": "invoice.paid"}, "StripeSignatureVerificationError")
    assert double.crashes == []
    assert double.unmodelled == []
    assert len(double.all("refund")) == 1
