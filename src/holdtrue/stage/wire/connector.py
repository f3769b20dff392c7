"""Makes the server connections of one session, the first one and those after swaps."""

import logging

from holdtrue.stage.wire import protocol as p
from holdtrue.stage.wire.hub import Hub
from holdtrue.stage.wire.introduction import Welcome
from holdtrue.stage.wire.link import Link, open_link
from holdtrue.stage.wire.listener import Target
from holdtrue.stage.wire.state import SessionState

log = logging.getLogger(__name__)


class Connector:
    """Knows who the client is and what it has been told about the server's settings."""

    def __init__(self, hub: Hub, target: Target, welcome: Welcome) -> None:
        self._hub = hub
        self._target = target
        self._welcome = welcome
        self._reported: dict[bytes, bytes] = {}  # ParameterStatus by name

    async def open(self) -> tuple[Link, list[bytes]]:
        """A fresh server connection and its greeting. Raises Refused."""
        welcome = self._welcome
        link = Link(target=self._target, on_gone=self._hub.link_gone)
        self._hub.links.add(link)
        try:
            greeting = await open_link(link, self._hub.upstream, version=welcome.version, parameters=welcome.parameters)
        except BaseException:
            self.drop(link)
            raise
        return link, greeting

    async def open_again(self, state: SessionState) -> tuple[Link, list[bytes]]:
        """A server connection to the current database, set up as the last one was, and what is news to the client.

        Raises Refused.
        """
        while True:
            link, greeting = await self.open()
            try:
                statuses, errors = await link.replay(state.replay())
            except BaseException:
                self.drop(link)
                raise
            if link.generation == self._target.generation:
                break
            self.drop(link)  # swapped again meanwhile
        for error in errors:
            log.warning(
                "%s: part of a session could not be set up again after a swap: %s",
                self._target.name,
                p.error_fields(error[5:]).get("M"),
            )
        return link, self.news([*greeting, *statuses])

    def drop(self, link: Link) -> None:
        """Let go of a connection that nobody wants."""
        if link.connected:
            link.detach()
        else:
            self._hub.link_gone(link)

    def news(self, messages: list[bytes]) -> list[bytes]:
        """Keep what the server reports about its settings; those reports that are news to the client."""
        news = []
        for raw in messages:
            if raw[0] == p.PARAMETER_STATUS:
                name, _, value = raw[5:-1].partition(b"\x00")
                if self._reported.get(name) != value:
                    self._reported[name] = value
                    news.append(raw)
        return news
