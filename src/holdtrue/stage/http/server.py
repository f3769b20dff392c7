"""An HTTP/1.1 server (RFC 9112) on loopback whose handler may also answer late, or not at all."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import cast

import h11

_CHUNK = 64 * 1024
_MAX_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. Header names are lower case; headers and body may hold secrets, so they stay out of `repr`."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The first value of a header (name in lower case), or None where the client did not send it."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the handler answers. `content-length` and `date` are added by the server."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Cut the connection without an answer, as a crash, a proxy or a lost network would."""


Handler = Callable[[Request], Awaitable[Response | Drop]]


class HttpServer:
    """Serves one handler on 127.0.0.1, at a port the system chooses unless one is given, in the caller's event loop.

    The handler is awaited once per request, so to delay an answer is to sleep there, and to hang is to await an
    event. A handler that raises is a defect of the double: the exception reaches the loop's exception handler,
    the client sees the connection close.
    """

    def __init__(self, handle: Handler, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._handle = handle
        self._tls = tls
        self._wanted = port
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            RuntimeError: it already listens.
            OSError: the given port is in use.
        """
        if self._server is not None:
            raise RuntimeError(f"this HTTP server already listens on port {self.port}; start it once")
        # Without TLS, which begins in _serve: a client is known from the moment it connects.
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1.

        Raises:
            RuntimeError: the server has not been started, or was closed.
        """
        if self._server is None:
            raise RuntimeError("this HTTP server does not listen: await start() before asking for its port")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """`https://127.0.0.1:port`, or `http://` without TLS."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def awaited(self) -> bool:
        """Whether a client waits for this server: in a handshake, or for an answer."""
        return any(connection.awaited for connection in self._connections.values())

    async def close(self) -> None:
        """Stop listening and cut what is open, handlers that hang included. Closing twice does nothing."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        open_now = dict(self._connections)
        for task, connection in open_now.items():
            task.cancel()
            connection.cut()
        await asyncio.gather(*open_now, return_exceptions=True)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        connection = self._connections[task] = _Connection(reader, writer)
        try:
            if self._tls is not None:
                await connection.secure(self._tls)
            await self._converse(connection)
        except asyncio.CancelledError:
            if self._server is not None:
                raise  # not our close(): somebody cancels this connection alone, and may wait for it
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass  # the client left, or speaks no TLS: there is nobody to tell
        finally:
            del self._connections[task]
            writer.close()

    async def _converse(self, connection: "_Connection") -> None:
        while (request := await connection.receive()) is not None:
            answer = await self._handle(request)
            if isinstance(answer, Drop):
                connection.cut()
                return
            if not await connection.send(answer):
                return


class _Connection:
    """One client: whole requests in, whole responses out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.SERVER)
        self.awaited = False
        """Whether the client waits for us: in a handshake, or since it began a request."""

    async def secure(self, tls: ssl.SSLContext) -> None:
        """Shake hands. Raises OSError when the client does not."""
        self.awaited = True
        await self._writer.start_tls(tls)
        self.awaited = False

    async def receive(self) -> Request | None:
        """The next request, or None when the client is done or does not speak HTTP."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint, str(error))
                return None
            if event is h11.NEED_DATA:
                if self._state.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._state.receive_data(data := await self._reader.read(_CHUNK))
                self.awaited = bool(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MAX_BODY:
                    await self._refuse(413, f"the body is larger than {_MAX_BODY} bytes")
                    return None
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return _request(head, bytes(body))
            else:
                return None

    async def send(self, response: Response) -> bool:
        """Send; True when the connection can carry another request."""
        headers = [*response.headers, ("Date", formatdate(usegmt=True)), ("Content-Length", str(len(response.body)))]
        await self._write(
            h11.Response(status_code=response.status, headers=headers), h11.Data(data=response.body), h11.EndOfMessage()
        )
        self.awaited = False
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    def cut(self) -> None:
        """Reset the connection: no TLS farewell, no HTTP answer."""
        self._writer.transport.abort()

    async def _refuse(self, status: int, reason: str) -> None:
        if self._state.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            with contextlib.suppress(ConnectionError):
                await self.send(Response(status=status, headers=(("Connection", "close"),), body=reason.encode()))

    async def _write(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._state.send(event) or b"" for event in events))
        await self._writer.drain()


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
    return Request(method=head.method.decode("ascii"), path=path, query=query, headers=headers, body=body)
