"""Route facts from an OpenAPI 3.0 or 3.1 document. Runs in the hold tower, for apps in any language."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from holdtrue.stage.survey.facts import Body, Parameter, Route, SecurityNeed

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PATH_PARAMETER = re.compile(r"{([^{}]+)}")
# A chain of references this long is a loop.
LONGEST_CHAIN = 20


def parse_openapi(document: Mapping[str, Any]) -> tuple[Route, ...]:
    """Every operation as a route of one method, in the document's order.

    A body's schema has its references replaced one level deep: the schema itself, its properties, its items and its
    alternatives. Raises `ValueError` for a document that is no OpenAPI 3, or refers to what it does not contain.
    """
    version = str(document.get("openapi", ""))
    if not version.startswith("3."):
        raise ValueError(
            f"This is no OpenAPI 3 document: its `openapi` is {version!r}. Routes can be read from OpenAPI 3.0 or 3.1; "
            "convert a Swagger 2.0 document first."
        )
    paths = document.get("paths") or {}
    return tuple(route for path, item in paths.items() for route in _operations(document, path, item))


def resolve(document: Mapping[str, Any], node: Any) -> Any:
    """What a node is, once its `$ref` into the same document is followed (RFC 6901). Raises `ValueError`."""
    for _ in range(LONGEST_CHAIN):
        if not isinstance(node, Mapping) or not isinstance(node.get("$ref"), str):
            return node
        node = _at(document, node["$ref"])
    raise ValueError("The OpenAPI document has a `$ref` that leads back to itself. Correct it, then survey again.")


def _at(document: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#/"):
        raise ValueError(
            f"The OpenAPI document refers to {reference!r}, which is outside of it. Bundle it into one document first."
        )
    node: Any = document
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, Mapping) and key in node:
            node = node[key]
        else:
            raise ValueError(f"The OpenAPI document refers to {reference!r}, but contains no such part.")
    return node


def _operations(document: Mapping[str, Any], path: str, item: Any) -> Iterator[Route]:
    item = resolve(document, item)
    for method in METHODS:
        operation = item.get(method)
        if operation is not None:
            yield _route(document, path, method, operation, item.get("parameters") or [])


def _route(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any], shared: list[Any]
) -> Route:
    security = operation.get("security", document.get("security")) or []
    return Route(
        path=path,
        methods=(method.upper(),),
        name=operation.get("summary"),
        operation_id=operation.get("operationId"),
        path_params=tuple(PATH_PARAMETER.findall(path)),
        security=tuple(_alternative(document, needs) for needs in security),
        in_openapi=True,
        parameters=_parameters(document, [*shared, *(operation.get("parameters") or [])]),
        body=_body(document, operation.get("requestBody")),
    )


def _alternative(document: Mapping[str, Any], needs: Mapping[str, list[str]]) -> tuple[SecurityNeed, ...]:
    schemes = (document.get("components") or {}).get("securitySchemes") or {}
    return tuple(
        SecurityNeed(
            scheme=name, kind=str((resolve(document, schemes.get(name)) or {}).get("type", "")), scopes=tuple(scopes)
        )
        for name, scopes in needs.items()
    )


def _parameters(document: Mapping[str, Any], listed: list[Any]) -> tuple[Parameter, ...]:
    # An operation's parameter replaces the path's of the same name and place.
    found = {(each["name"], each["in"]): each for each in (resolve(document, one) for one in listed)}
    return tuple(
        Parameter(
            name=name,
            location=location,
            required=bool(each.get("required", location == "path")),
            schema=_shallow(document, _parameter_schema(each)),
        )
        for (name, location), each in found.items()
    )


def _parameter_schema(parameter: Mapping[str, Any]) -> Any:
    if "schema" in parameter:
        return parameter["schema"]
    return next((media.get("schema", {}) for media in (parameter.get("content") or {}).values()), {})


def _body(document: Mapping[str, Any], node: Any) -> Body | None:
    body = resolve(document, node)
    content = (body or {}).get("content") or {}
    if not content:
        return None
    media_type = next((each for each in content if "json" in each), next(iter(content)))
    schema = _shallow(document, content[media_type].get("schema", {}))
    return Body(media_type=media_type, required=bool(body.get("required", False)), schema=schema)


def _shallow(document: Mapping[str, Any], node: Any) -> dict[str, Any]:
    schema = resolve(document, node)
    if not isinstance(schema, Mapping):  # JSON Schema allows true and false (OpenAPI 3.1)
        return {}
    resolved = dict(schema)
    if isinstance(schema.get("properties"), Mapping):
        resolved["properties"] = {name: resolve(document, each) for name, each in schema["properties"].items()}
    if "items" in schema:
        resolved["items"] = resolve(document, schema["items"])
    for word in ("allOf", "anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            resolved[word] = [resolve(document, each) for each in schema[word]]
    return resolved
