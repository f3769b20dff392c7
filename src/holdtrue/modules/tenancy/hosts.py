"""Which tenant a host names. The host is compared as a whole: never cut at a dot, and there is no default tenant."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_OURS_ALONE = ("localhost", "local", "internal", "arpa", "onion", "invalid")


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a host says about the tenant. Both None: nothing, and the tenant comes from the token."""

    slug: str | None = None
    custom: str | None = None

    @property
    def somebody(self) -> bool:
        """Whether it names a tenant, be it one that does not exist."""
        return self.slug is not None or self.custom is not None


def canonical(host: str) -> str:
    """A public host name in lower case, without its last dot.

    Raises:
        ValueError: an address, a name without a dot, or one that can only be private.
    """
    name = host.lower().removesuffix(".")
    last = name.rpartition(".")[2]
    if len(name) > 253 or not _NAME.fullmatch(name) or _NUMBER.fullmatch(last) or last in _OURS_ALONE:
        raise ValueError("must be a public host name, such as shop.example.com")
    return name


def named_by(host: str, base: str | None, neutral: frozenset[str]) -> Named:
    """What the host of a request names, below a base domain whose ``neutral`` subdomains belong to no tenant."""
    if base is None:
        return Named()
    name = host.lower().removesuffix(".")
    if name == base:
        return Named()
    if name.endswith(f".{base}"):
        label = name.removesuffix(f".{base}")
        return Named() if label in neutral else Named(slug=label)
    return Named(custom=name)
