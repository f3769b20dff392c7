"""Asks an app whether it is up."""

import asyncio

import httpx

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1


async def answers(url_path: str | None, port: int) -> int | None:
    """Asks until there is an answer: the HTTP status below 500, or None for an accepted connection (no ``url_path``).

    Every question uses a connection of its own, as some servers close it after an error. Runs until cancelled.
    """
    pause = _FIRST_PAUSE
    while True:
        answer = await _connects(port) if url_path is None else await _status(url_path, port)
        if answer is True:
            return None
        if answer is not False and answer < 500:
            return answer
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _status(url_path: str, port: int) -> int | bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            response = await client.get(f"http://127.0.0.1:{port}/{url_path.lstrip('/')}")
    except httpx.TransportError:
        return False
    return response.status_code
