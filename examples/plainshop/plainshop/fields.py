"""Field types shared by the request bodies."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

NO_CONTROLS = r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]*$"
# The HTML standard's pattern, without the dots it allows at odd places: ASCII, no quotes, commas, spaces, line ends.
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_ATEXT = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
EMAIL = rf"^{_ATEXT}(?:\.{_ATEXT})*@{_LABEL}(?:\.{_LABEL})*$"

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROLS)]
Prose = Annotated[str, StringConstraints(max_length=5000, pattern=r"^[^\x00]*$")]
Email = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=EMAIL)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", min_length=2, max_length=40)]
# At login any text is a password; only a new one has to be long.
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]
NewPassword = Annotated[str, StringConstraints(min_length=8, max_length=256)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[\x21-\x7e]+$")]
Cents = Annotated[int, Field(strict=True, ge=1, le=99_999_999)]
Currency = Annotated[
    Literal["aud", "cad", "chf", "dkk", "eur", "gbp", "jpy", "nok", "nzd", "pln", "sek", "usd"],
    AfterValidator(str),
]
Before = Annotated[UUID | None, Query()]
Limit = Annotated[int, Query(ge=1, le=200)]


class Body(BaseModel):
    """Unknown fields are refused: a role or a shop in a body is not overlooked, it is an error."""

    model_config = ConfigDict(extra="forbid")
