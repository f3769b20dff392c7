"""One way to write a JSON value, so that equal values have equal digests.

The JSON Canonicalization Scheme (RFC 8785): no white space; the members of an object sorted by their UTF-16 code units;
strings with the escapes of section 3.2.2.2 and no others; numbers as ECMAScript writes them (section 3.2.2.3). Refused,
because their meaning would depend on the reader: NaN and infinity, integers beyond 2^53 - 1, unpaired surrogates (RFC
7493), and, on reading, an object that has a member twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from decimal import Decimal
from typing import Any

from holdtrue.contract.errors import UsageError

_LARGEST = 2**53 - 1


def canonical(value: Any) -> bytes:
    """A JSON value in canonical form, as UTF-8.

    Raises:
        UsageError: there is no canonical form of it.
    """
    try:
        return _written(value).encode()
    except UnicodeEncodeError:
        raise UsageError("a text with an unpaired surrogate has no digest", do="Write valid Unicode.") from None


def digest(value: Any) -> str:
    """SHA-256 over the canonical form: ``sha256:…``."""
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    """SHA-256 over bytes: ``sha256:…``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def same(one: str, other: str) -> bool:
    """Whether two digests are equal, in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def loads(text: str | bytes) -> Any:
    """Read JSON; a member that stands twice in an object is refused, as is what is no JSON.

    Raises:
        ValueError: it is not such JSON.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number, parse_int=_whole)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a member twice")
    return value


def _whole(text: str) -> float:
    """As ECMAScript reads it: beyond what a double tells apart it is none of ours to be exact."""
    return int(text) if abs(int(text)) <= _LARGEST else float(text)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _written(value: Any) -> str:
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(_written, value))}]"
        case dict():
            members = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
            return f"{{{','.join(f'{_written(name)}:{_written(each)}' for name, each in members)}}}"
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _number(value: float) -> str:
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > _LARGEST):
        raise UsageError(f"the number {value} has no canonical form", do="Write it as text.")
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        # The shortest digits that read back as the same number; ECMAScript writes no exponent in this range.
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent):+d}"
