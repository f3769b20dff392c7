"""Routes are read from an OpenAPI document as they are from a live app."""

from typing import Any

import pytest

from holdtrue.stage.survey import Parameter, parse_openapi

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "security": [{"bearer": []}],
    "paths": {
        "/orders/{id}": {
            "parameters": [{"$ref": "#/components/parameters/id"}, {"name": "trace", "in": "header", "schema": {}}],
            "get": {
                "operationId": "showOrder",
                "summary": "Show",
                "parameters": [{"name": "trace", "in": "header", "required": True, "schema": {"type": "string"}}],
            },
            "post": {
                "security": [{"oauth": ["orders:write"], "key": []}, {}],
                "requestBody": {"$ref": "#/components/requestBodies/order"},
            },
        },
        "/hook~": {"$ref": "#/components/pathItems/hook"},
    },
    "components": {
        "pathItems": {"hook": {"put": {"security": []}}},
        "parameters": {
            "id": {"name": "id", "in": "path", "required": True, "schema": {"$ref": "#/components/schemas/Id"}}
        },
        "requestBodies": {
            "order": {
                "required": True,
                "content": {
                    "application/xml": {},
                    "application/json": {"schema": {"$ref": "#/components/schemas/Order"}},
                },
            }
        },
        "schemas": {
            "Id": {"type": "integer"},
            "Line": {"type": "object", "properties": {"order": {"$ref": "#/components/schemas/Order"}}},
            "Order": {
                "type": "object",
                "properties": {
                    "id": {"$ref": "#/components/schemas/Id"},
                    "line": {"$ref": "#/components/schemas/Line"},
                },
            },
        },
        "securitySchemes": {"bearer": {"type": "http"}, "oauth": {"type": "oauth2"}, "key": {"type": "apiKey"}},
    },
}


def test_every_operation_is_a_route() -> None:
    show, change, hook = parse_openapi(DOCUMENT)
    assert (show.path, show.methods, show.operation_id, show.path_params) == (
        "/orders/{id}",
        ("GET",),
        "showOrder",
        ("id",),
    )
    assert (change.methods, hook.path, hook.methods) == (("POST",), "/hook~", ("PUT",))


def test_an_operation_overrides_the_parameters_of_its_path() -> None:
    show, change, _ = parse_openapi(DOCUMENT)
    identity = Parameter(name="id", location="path", required=True, schema={"type": "integer"})
    assert show.parameters == (
        identity,
        Parameter(name="trace", location="header", required=True, schema={"type": "string"}),
    )
    assert change.parameters == (identity, Parameter(name="trace", location="header", required=False, schema={}))


def test_security_is_a_choice_of_needs_and_falls_back_to_the_document() -> None:
    show, change, hook = parse_openapi(DOCUMENT)
    assert [[(need.scheme, need.kind) for need in each] for each in show.security] == [[("bearer", "http")]]
    assert [[(need.scheme, need.scopes) for need in each] for each in change.security] == [
        [("oauth", ("orders:write",)), ("key", ())],
        [],
    ]
    assert hook.security == ()


def test_a_body_is_resolved_one_level_deep_so_that_recursive_schemas_end() -> None:
    _, change, _ = parse_openapi(DOCUMENT)
    assert change.body is not None
    assert (change.body.media_type, change.body.required) == ("application/json", True)
    assert change.body.schema["properties"]["id"] == {"type": "integer"}
    assert change.body.schema["properties"]["line"]["properties"]["order"] == {"$ref": "#/components/schemas/Order"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"swagger": "2.0"}, "no OpenAPI 3"),
        ({"openapi": "3.0.3", "paths": {"/a": {"$ref": "#/b"}}}, "contains no such part"),
        ({"openapi": "3.0.3", "paths": {"/a": {"$ref": "other.yaml#/b"}}}, "outside of it"),
        ({"openapi": "3.0.3", "paths": {"/a": {"$ref": "#/b"}}, "b": {"$ref": "#/b"}}, "leads back to itself"),
    ],
)
def test_a_document_that_cannot_be_read_says_why(document: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_openapi(document)
