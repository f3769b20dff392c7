"""Frames what one server connection sends; large rows pass through in pieces."""

from collections.abc import Callable

from holdtrue.stage.wire import protocol as p

_STREAMED = frozenset((p.DATA_ROW, p.COPY_DATA))


class ServerStream:
    """Calls `received` with each message that matters; returns the bytes that may go on to the client."""

    def __init__(self, received: Callable[[int, bytes], bytes | None]) -> None:
        self._received = received
        self._partial = b""
        self._streaming = 0  # bytes of a large row that still have to come

    def feed(self, data: bytes) -> bytes:
        """`received` may return another payload of the same length to be sent instead."""
        if self._partial:
            data, self._partial = self._partial + data, b""
        size = len(data)
        position = min(self._streaming, size)
        self._streaming -= position
        unpack, received = p.HEADER.unpack_from, self._received
        while size - position >= 5:
            kind, length = unpack(data, position)
            end = position + 1 + length
            if kind in _STREAMED:
                if end > size:
                    self._streaming, position = end - size, size
                    break
            elif end > size:
                break
            else:
                other = received(kind, data[position + 5 : end])
                if other is not None:
                    data = data[: position + 5] + other + data[end:]
            position = end
        if position < size:
            data, self._partial = data[:position], data[position:]
        return data

    def rest(self) -> bytes:
        """What is left of a message that never became whole."""
        return self._partial
