"""Field types of the request bodies."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_ATEXT = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
_NO_CONTROLS = r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]*$"

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=_NO_CONTROLS)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", min_length=2, max_length=40)]
"""A label of a host name (RFC 1035, 2.3.1), so that it can stand below the base domain."""
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=254,
        pattern=rf"^{_ATEXT}(?:\.{_ATEXT})*@{_LABEL}(?:\.{_LABEL})*$",
    ),
]
"""The HTML standard's pattern, without the dots it allows at odd places."""
Token = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
RoleName = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[\x20-\x7e]+$")]


class Body(BaseModel):
    """Unknown fields are refused: a tenant or a permission in a body is not overlooked, it is an error."""

    model_config = ConfigDict(extra="forbid")
