"""Notes as a deployment starts them: a worker of its own, and a search provider on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors
from holdtrue.runtime import require_outside
from tower.notes import Notes, NotesSettings, Provider, Search


class SocketSearch(Search):
    """Says what it is asked to do, and waits for the answer."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.host, _, self.port = address.rpartition(":")

    async def index(self, key: str, title: str) -> None:
        require_outside("search")
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        writer.write(f"{key} {title}\n".encode())
        await writer.drain()
        await reader.readline()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def open_socket(settings: NotesSettings) -> AsyncIterator[Provider]:
    yield Provider(SocketSearch(settings.search_url))


assembly = compose(Notes(open_socket), Doors())
