"""What a shared cache on the way (a CDN, a proxy) may do with an answer: RFC 9111, on the safe side.

Only what the answer itself allows is told. A cache that is configured to ignore the answer's headers is no fault of the
app, and a heuristic is assumed only where RFC 9111 §4.2.2 names one: an answer with Last-Modified.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from holdtrue.stage.client import Answer

OK = 200
_DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;]*)))?')
_KEPT_BY_CDNS = ("cdn-cache-control", "surrogate-control")
"""RFC 9213 and its forerunner: what the caches they are meant for obey instead of Cache-Control."""


def directives(answer: Answer, header: str = "cache-control") -> dict[str, str | None]:
    """The directives of Cache-Control (RFC 9111 §5.2), in lower case."""
    text = ", ".join(answer.headers.get_list(header))
    return {name.lower(): quoted or bare or None for name, quoted, bare in _DIRECTIVE.findall(text)}


def shared(answer: Answer, asked: Mapping[str, str], other: Mapping[str, str]) -> str | None:
    """Say by which words a shared cache may give one caller's answer to another who asks for the same address.

    Args:
        answer: what the app answered to a GET.
        asked: the headers of that request.
        other: the headers of somebody else's request for the same address.

    Returns:
        The headers that allow it, for a person to read; None when the answer may not be kept, is kept for the one
        caller only, is stale at once, or varies by a header in which the two requests differ.
    """
    told = directives(answer)
    limits = {"no-store", "private", "no-cache"}
    if answer.status != OK or limits & told.keys():
        return None
    if any(limits & directives(answer, header).keys() for header in _KEPT_BY_CDNS):
        return None
    if not same_by_vary(answer, asked, other):
        return None
    authorized = any(name.lower() == "authorization" for name in asked)
    if authorized and not {"public", "s-maxage", "must-revalidate"} & told.keys():
        return None  # RFC 9111 §3.5
    return _fresh(answer, told)


def same_by_vary(answer: Answer, asked: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two requests select the same stored answer (RFC 9111 §4.1)."""
    names = {name.strip().lower() for text in answer.headers.get_list("vary") for name in text.split(",")} - {""}
    if "*" in names:
        return False
    one, two = ({name.lower(): value for name, value in headers.items()} for headers in (asked, other))
    return all(one.get(name) == two.get(name) for name in names)


def _fresh(answer: Answer, told: Mapping[str, str | None]) -> str | None:
    """Say what makes the answer fresh for some time (RFC 9111 §4.2.1: the first of these that is there decides)."""
    for name in ("s-maxage", "max-age"):
        if name in told:
            return f"Cache-Control: {_words(told)}" if _seconds(told[name]) > 0 else None
    if "expires" in answer.headers:
        return f"Expires: {answer.headers['expires']}" if _expires_later(answer) else None
    if "last-modified" in answer.headers:
        words = f" with Cache-Control: {_words(told)}" if told else " and no Cache-Control"
        return f"Last-Modified: {answer.headers['last-modified']}{words}"
    return None


def _words(told: Mapping[str, str | None]) -> str:
    return ", ".join(name if value is None else f"{name}={value}" for name, value in told.items())


def _seconds(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _expires_later(answer: Answer) -> bool:
    """Whether Expires lies after Date; without either, or with one that is no date, the answer is stale."""
    try:
        expires = parsedate_to_datetime(answer.headers["expires"])
        return expires > parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, TypeError):
        return False
