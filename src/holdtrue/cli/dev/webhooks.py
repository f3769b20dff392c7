"""Delivers what Stripe's double has to tell, as Stripe does: in order, and again until it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from holdtrue.stage.payments import StripeDouble

PAUSE = 0.3
_LONGEST = 30.0


class Courier:
    """Brings events to one route of the app."""

    def __init__(self, stripe: StripeDouble, url: str, tell: Callable[[str], None]) -> None:
        self._stripe = stripe
        self._url = url
        self._tell = tell
        self._told: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = PAUSE
        async with httpx.AsyncClient(timeout=30) as client:
            while True:
                pause = PAUSE if await self.round(client) else min(pause * 2, _LONGEST)
                await asyncio.sleep(pause)

    async def round(self, client: httpx.AsyncClient) -> bool:
        """Deliver what is owed; False when the app did not take something, and what follows has to wait."""
        for event in self._stripe.events:
            if event.id in self._stripe.world.delivered:
                continue
            delivery = self._stripe.webhooks.delivery(event)
            try:
                answer = await client.post(self._url, content=delivery.body, headers=dict(delivery.headers))
                said = str(answer.status_code)
            except httpx.TransportError as error:
                answer, said = None, type(error).__name__
            if answer is None or not answer.is_success:
                if event.id not in self._told:
                    self._told.add(event.id)
                    self._tell(f"stripe | {event.type} was not taken ({said}); it comes again")
                return False
            self._stripe.webhooks.mark_delivered(event)
            self._tell(f"stripe | {event.type} delivered")
        return True
