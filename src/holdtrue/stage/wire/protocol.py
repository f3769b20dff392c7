"""Message constants, framing and codecs of the PostgreSQL frontend/backend protocol, versions 3.0 and 3.2.

Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol", sections "Message Flow" and "Message Formats".
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

# A startup packet longer than this is refused by PostgreSQL too (MAX_STARTUP_PACKET_LENGTH).
STARTUP_LIMIT = 10_000

# Frontend messages. Several letters mean something else when the server sends them.
QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC, FLUSH, FUNCTION, TERMINATE, PASSWORD = b"QPBDECSHFXp"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"
EXTENDED = frozenset((PARSE, BIND, DESCRIBE, EXECUTE, CLOSE))

# Backend messages.
AUTHENTICATION, KEY_DATA, PARAMETER_STATUS, READY, NEGOTIATE = b"RKSZv"
PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE, NO_DATA, ROW_DESCRIPTION = b"123nT"
COMMAND_COMPLETE, EMPTY_QUERY, PORTAL_SUSPENDED, ERROR, NOTICE, NOTIFICATION = b"CIsENA"
COPY_IN, COPY_OUT, COPY_BOTH, DATA_ROW = b"GHWD"

IDLE, IN_TRANSACTION, FAILED = b"ITE"

HEADER = struct.Struct("!BI")
_INT16 = struct.Struct("!h")
_INT32 = struct.Struct("!i")
_UINT32 = struct.Struct("!I")

CLEARTEXT_PASSWORD = b"R\x00\x00\x00\x08\x00\x00\x00\x03"
SYNC_MESSAGE = b"S\x00\x00\x00\x04"
TERMINATE_MESSAGE = b"X\x00\x00\x00\x04"


class ProtocolViolation(ValueError):  # noqa: N818 - the protocol's own word
    """Bytes that are not a message of this protocol."""


def message(kind: int, payload: bytes = b"") -> bytes:
    """One message: type byte, length (which counts itself), payload."""
    return HEADER.pack(kind, len(payload) + 4) + payload


def query_message(sql: bytes) -> bytes:
    return message(QUERY, sql + b"\x00")


def startup_message(version: int, parameters: Mapping[bytes, bytes]) -> bytes:
    body = b"".join(name + b"\x00" + value + b"\x00" for name, value in parameters.items()) + b"\x00"
    return struct.pack("!II", len(body) + 8, version) + body


def cancel_message(key: bytes) -> bytes:
    """`key` is the whole payload of BackendKeyData: process id and secret, 4 bytes in 3.0, up to 256 in 3.2."""
    return struct.pack("!II", len(key) + 8, CANCEL_REQUEST) + key


def parse_startup_parameters(body: bytes) -> dict[bytes, bytes]:
    """The name/value pairs after the version number of a StartupMessage."""
    words = body.split(b"\x00")
    end = _end(words)
    return dict(zip(words[0:end:2], words[1:end:2], strict=True))


def _end(words: list[bytes]) -> int:
    """Index of the empty name that closes the list; a value may be empty, a name may not."""
    for index in range(0, len(words), 2):
        if not words[index]:
            return index
    raise ProtocolViolation("a startup packet without its closing zero byte")


def error_message(*, code: str, text: str, detail: str = "", hint: str = "", severity: str = "FATAL") -> bytes:
    fields = {"S": severity, "V": severity, "C": code, "M": text, "D": detail, "H": hint}
    body = b"".join(key.encode() + value.encode() + b"\x00" for key, value in fields.items() if value)
    return message(ERROR, body + b"\x00")


def error_fields(payload: bytes) -> dict[str, str]:
    """Fields of an ErrorResponse or NoticeResponse by their letter (C: SQLSTATE, M: message)."""
    return {chr(field[0]): field[1:].decode("utf-8", "replace") for field in payload.split(b"\x00") if field}


def cstring(payload: bytes, start: int = 0) -> tuple[bytes, int]:
    """The zero-terminated string at `start` and the offset behind it."""
    end = payload.find(b"\x00", start)
    if end < 0:
        raise ProtocolViolation("a string without its closing zero byte")
    return payload[start:end], end + 1


def parameter_types(parse_payload: bytes) -> tuple[int, ...]:
    """Object ids given in a Parse message (0: left to the server)."""
    _, offset = cstring(parse_payload)
    _, offset = cstring(parse_payload, offset)
    (count,) = _INT16.unpack_from(parse_payload, offset)
    return struct.unpack_from(f"!{count}I", parse_payload, offset + 2)


@dataclass(frozen=True, slots=True)
class Binding:
    """What a Bind message says: parameter formats (0 text, 1 binary; one for all, or one each) and values."""

    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]


def parse_binding(bind_payload: bytes) -> Binding:
    _, offset = cstring(bind_payload)
    _, offset = cstring(bind_payload, offset)
    (count,) = _INT16.unpack_from(bind_payload, offset)
    formats = struct.unpack_from(f"!{count}h", bind_payload, offset + 2)
    offset += 2 + 2 * count
    values, _ = _values(bind_payload, offset)
    return Binding(formats=formats, values=values)


def _values(payload: bytes, offset: int) -> tuple[tuple[bytes | None, ...], int]:
    (count,) = _INT16.unpack_from(payload, offset)
    offset += 2
    values: list[bytes | None] = []
    for _ in range(count & 0xFFFF):
        (length,) = _INT32.unpack_from(payload, offset)
        offset += 4
        if length < 0:
            values.append(None)
        else:
            values.append(payload[offset : offset + length])
            offset += length
    return tuple(values), offset


def backend_pid(key: bytes) -> int:
    pid: int = _UINT32.unpack_from(key)[0]
    return pid


def complete_messages(buffer: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """(type, start of payload, end) of each whole message at the front of `buffer`."""
    position, size = 0, len(buffer)
    while size - position >= 5:
        kind, length = HEADER.unpack_from(buffer, position)
        if length < 4:
            raise ProtocolViolation(f"message type {kind:#x} announces {length} bytes; the least is 4")
        end = position + 1 + length
        if end > size:
            return
        yield kind, position + 5, end
        position = end
