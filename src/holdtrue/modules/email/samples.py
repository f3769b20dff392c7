"""Makes up a payload of a given type, so that a template can be tried before anything owes its mail."""

from __future__ import annotations

import enum
import types
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import AnyUrl, BaseModel, SecretStr
from pydantic.fields import FieldInfo

M = TypeVar("M", bound=BaseModel)
_PLAIN: dict[Any, Any] = {
    str: "sample",
    int: 1,
    float: 1.0,
    bool: True,
    Decimal: "1.00",
    UUID: UUID(int=1),
    datetime: datetime(2030, 1, 31, tzinfo=UTC),
    date: date(2030, 1, 31),
    timedelta: timedelta(hours=1),
    SecretStr: "sample",
}


def sample(model: type[M], *, sparse: bool) -> M:
    """A valid payload: full, or with everything empty that may be. ``Field(examples=[…])`` says what cannot be guessed.

    Raises:
        ValidationError: what was made up is not valid.
    """
    return model.model_validate({name: _of(field, sparse) for name, field in model.model_fields.items()})


def _of(field: FieldInfo, sparse: bool) -> Any:
    optional = type(None) in get_args(field.annotation)
    if field.examples and not (sparse and optional):
        return field.examples[0]
    return _value(field.annotation, sparse)


def _value(kind: Any, sparse: bool) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _value(inner[0], sparse)
    if origin in (Union, types.UnionType):
        kinds = [each for each in inner if each is not type(None)]
        return None if sparse and len(kinds) < len(inner) else _value(kinds[0], sparse)
    if origin is Literal:
        return inner[0]
    if origin in (list, tuple, set, frozenset):
        fixed = origin is tuple and Ellipsis not in inner
        return [_value(each, sparse) for each in inner] if fixed else [] if sparse else [_value(inner[0], sparse)]
    if origin is dict:
        return {} if sparse else {_value(inner[0], sparse): _value(inner[1], sparse)}
    return _single(kind, sparse)


def _single(kind: Any, sparse: bool) -> Any:
    if isinstance(kind, type):
        if issubclass(kind, BaseModel):
            return sample(kind, sparse=sparse)
        if issubclass(kind, enum.Enum):
            return next(iter(kind))
        if issubclass(kind, AnyUrl):
            return "https://example.test/sample"
    return _PLAIN.get(kind, "sample")
