"""A real browser, driven through its DevTools pipe (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .conftest import program

_PIPE = "import os, sys; a = sys.argv; os.dup2(int(a[1]), 3); os.dup2(int(a[2]), 4); os.execv(a[3], a[3:])"
"""The browser reads commands from descriptor 3 and writes to 4, whichever descriptors ours are."""


class Tab:
    """One page of the browser, and what was said while it was shown."""

    def __init__(self, commands: int, answers: asyncio.StreamReader) -> None:
        self.events: list[dict[str, Any]] = []
        self._commands = commands
        self._answers = answers
        self._number = 0
        self._session: str | None = None

    async def attach(self) -> None:
        """Open the tab."""
        target = await self.tell("Target.createTarget", url="about:blank")
        session = await self.tell("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = session["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.tell(f"{domain}.enable")

    async def tell(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        number = self._number
        command: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = await self._message()
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    async def _message(self) -> dict[str, Any]:
        data = await self._answers.readuntil(b"\0")
        message: dict[str, Any] = json.loads(data[:-1])
        return message

    async def open(self, page: Path, *, width: int, dark: bool = False) -> None:
        """Show a file, and wait until it is there."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        await self.tell("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(await self._message())

    async def ask(self, expression: str) -> Any:
        """Evaluate JavaScript; the page's own policy does not hold for us."""
        result = await self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def said(self, *methods: str) -> list[dict[str, Any]]:
        """The events of these kinds."""
        return [event for event in self.events if event.get("method") in methods]


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A browser with one tab; it ends with the block."""
    with TemporaryDirectory(prefix="holdtrue-browser-", ignore_cleanup_errors=True) as home:
        commands_there, commands = os.pipe()
        answers, answers_there = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PIPE, str(commands_there), str(answers_there), program("chromium")),
            *("--headless", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={home}"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env={"HOME": home},
            pass_fds=(commands_there, answers_there),
        )  # fmt: skip
        os.close(commands_there)
        os.close(answers_there)
        reader = asyncio.StreamReader(limit=2**26)
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(answers, "rb")
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            tab = Tab(commands, reader)
            await tab.attach()
            yield tab
        finally:
            os.close(commands)  # a browser whose pipe is closed ends by itself
            await process.wait()
            transport.close()
