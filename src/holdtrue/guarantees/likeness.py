"""Whether two answers say the same, but for what differs from request to request anyway."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from holdtrue.stage.client import Answer

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
_CHANGING = re.compile(rf"{_UUID}|{_TIME}|\b[0-9a-fA-F]{{16,}}\b|\b\d{{9,}}(?:\.\d+)?\b")
"""Identifiers and moments: what tells one request from another in logs."""
_TOKEN = re.compile(r"[\w.:+/=-]+|\S")


def tokens(answer: Answer, ids: Iterable[object] = ()) -> tuple[str, ...]:
    """The words of an answer's body; ids that were sent, times and other identifiers are taken out."""
    text = answer.text
    for sent in sorted({str(each) for each in ids}, key=len, reverse=True):
        for form in {sent, quote(sent, safe=""), sent.replace("-", "")}:
            text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(form)}(?![0-9A-Za-z])", "*", text, flags=re.IGNORECASE)
    return tuple(_TOKEN.findall(_CHANGING.sub("*", text)))


def unstable(first: tuple[str, ...], second: tuple[str, ...]) -> frozenset[int] | None:
    """The places in which two answers to the same request differ; None when they cannot be laid side by side."""
    if len(first) != len(second):
        return None
    return frozenset(place for place, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])


def alike(first: tuple[str, ...], second: tuple[str, ...], noise: frozenset[int] = frozenset()) -> bool:
    """Whether two answers say the same outside of the places that are noise."""
    differing = unstable(first, second)
    return differing is not None and differing <= noise
