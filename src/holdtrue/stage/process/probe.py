"""Asks an app whether it is up."""

import asyncio

import httpx

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1


class Probe:
    """Asks until the app answers: any HTTP status below 400, or without a path an accepted connection."""

    def __init__(self, url_path: str | None, port: int) -> None:
        self.question = (
            f"a connection to 127.0.0.1:{port}"
            if url_path is None
            else f"GET http://127.0.0.1:{port}/{url_path.lstrip('/')}"
        )
        self.last_status: int | None = None
        self._url_path = url_path
        self._port = port

    async def answered(self) -> int | None:
        """Asks until there is an answer, and returns its status if it has one. Runs until cancelled.

        Every question uses a connection of its own, as some servers close it after an error.
        """
        pause = _FIRST_PAUSE
        # Plain HTTP on loopback: reading the machine's certificates would take longer than the question.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=5.0, limits=limits) as client:  # noqa: S501
            while not await self._ask(client):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
        return self.last_status

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        if self._url_path is None:
            return await self._connects()
        try:
            response = await client.get(f"http://127.0.0.1:{self._port}/{self._url_path.lstrip('/')}")
        except httpx.TransportError:
            return False
        self.last_status = response.status_code
        return self.last_status < 400

    async def _connects(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True
