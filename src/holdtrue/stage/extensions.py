"""Chooses a PostgreSQL that has the extensions an app needs: the embedded one, else the one of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.template import suggestion
from holdtrue.stage.database import Cluster, DatabaseError


@asynccontextmanager
async def cluster_with(extensions: Collection[str]) -> AsyncIterator[Cluster]:
    """Start a private cluster that has the extensions.

    Raises:
        HoldtrueError: an extension is nowhere to be had, or PostgreSQL does not start.
    """
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster.embedded())
        known = await cluster.available_extensions()
        if set(extensions) <= known:
            yield cluster
            return
        await stack.aclose()
        try:
            cluster = await stack.enter_async_context(Cluster.system())
        except DatabaseError as error:
            raise _missing(set(extensions) - known, known, f"and no other can be used: {error.seen}") from error
        here = await cluster.available_extensions()
        if not set(extensions) <= here:
            raise _missing(set(extensions) - here, here, f"nor has the PostgreSQL {cluster.major} of this machine")
        yield cluster


def _missing(extensions: set[str], known: frozenset[str], elsewhere: str) -> HoldtrueError:
    names = ", ".join(sorted(extensions))
    close = [suggestion(name, known) for name in sorted(extensions)]
    install = f"Install PostgreSQL's server with {names} on this machine; the stage starts it privately."
    return HoldtrueError(
        f"the embedded PostgreSQL has no extension {names}, {elsewhere}",
        where="process.extensions",
        why="The migrations need it.",
        do=" ".join(filter(None, [*close, install])),
    )
