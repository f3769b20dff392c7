"""Makes up a payload from its JSON Schema: the smallest that its model accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError

_FORMATS = {
    "uuid": str(UUID(int=0xC0FFEE00_0000_7000_8000_000000000001)),
    "date-time": "2030-01-31T12:00:00Z",
    "date": "2030-01-31",
    "time": "12:00:00Z",
    "duration": "PT1M",
    "email": "somebody@example.test",
    "uri": "https://example.test/",
    "decimal": "1.00",
    "binary": "bytes",
    "password": "a long password that nobody has",
}


class NoSample(Exception):  # noqa: N818
    """The model accepts nothing of what was made up."""


def sample(name: str, payload: type[BaseModel], given: Mapping[str, BaseModel]) -> BaseModel:
    """A payload: the one given, or one made up.

    Raises:
        NoSample: the model refuses it.
    """
    if name in given:
        return given[name]
    schema = payload.model_json_schema(mode="validation")
    try:
        return payload.model_validate_json(json.dumps(_value(schema, schema.get("$defs", {}))))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise NoSample(f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}") from None


def _value(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """A value for a schema (JSON Schema 2020-12, as pydantic writes it)."""
    if "$ref" in schema:
        return _value(known[schema["$ref"].rpartition("/")[2]], known)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _value(schema[key][0], known)
    match schema.get("type"):
        case "object":
            return _object(schema, known)
        case "array":
            items = schema.get("prefixItems") or [schema.get("items", {})] * schema.get("minItems", 0)
            return [_value(each, known) for each in items]
        case "string":
            text = _FORMATS.get(schema.get("format", ""), "a sample")
            return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", len(text) + 10_000)]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
    return "a sample"


def _object(schema: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    wanted = schema.get("required", [])
    return {name: _value(each, known) for name, each in schema.get("properties", {}).items() if name in wanted}


def _number(schema: Mapping[str, Any]) -> int | float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1 if "exclusiveMinimum" in schema else 1)
    value: int | float = max(least, min(1, schema.get("maximum", 1)))
    step = schema.get("multipleOf")
    return value if not step else -(-value // step) * step
