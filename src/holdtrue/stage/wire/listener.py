"""What a listener leads to."""

import asyncio


class Target:
    """The database behind a listener. `generation` changes with every swap, the name perhaps not."""

    def __init__(self, name: str, database: str) -> None:
        self.name = name
        self.database = database
        self.generation = 0

    def move(self, database: str) -> None:
        self.database = database
        self.generation += 1


class Listener:
    """One app process's way to its database."""

    def __init__(self, target: Target, server: asyncio.Server) -> None:
        self.target = target
        self.server = server
        self.port: int = server.sockets[0].getsockname()[1]

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def database(self) -> str:
        return self.target.database
