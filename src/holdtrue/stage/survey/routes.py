"""The survey of an app's routes: what its interpreter shows, joined with the schema of every route."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from holdtrue.stage.survey.facts import Route, Routing
from holdtrue.stage.survey.openapi import parse_openapi
from holdtrue.stage.survey.runner import Interpreter, run_probe


@dataclass(frozen=True, kw_only=True)
class _Schema:
    prefix: str
    document: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class _Answer(Routing):
    schemas: tuple[_Schema, ...] = ()


ANSWER = TypeAdapter(_Answer)


async def survey_fastapi(asgi: str, interpreter: Interpreter, *, patience: float = 60.0) -> Routing:
    """The live routes of a FastAPI or Starlette app, given as ``pkg.module:attribute`` (an app or a factory).

    Parameters and bodies are filled in for hidden routes too. `patience` is in seconds. Raises `SurveyError`.
    """
    answer = await run_probe("fastapi", (asgi,), interpreter, ANSWER, patience=patience)
    operations = {
        (schema.prefix + operation.path, operation.methods[0]): operation
        for schema in answer.schemas
        if schema.document is not None
        for operation in parse_openapi(schema.document)
    }
    return Routing(
        framework=answer.framework,
        versions=answer.versions,
        openapi_url=answer.openapi_url,
        routes=tuple(_described(route, operations) for route in answer.routes),
        websockets=answer.websockets,
        mounts=answer.mounts,
        middleware=answer.middleware,
        problems=answer.problems,
    )


def _described(route: Route, operations: Mapping[tuple[str, str], Route]) -> Route:
    operation = next((found for m in route.methods if (found := operations.get((route.path, m)))), None)
    if operation is None:
        return route
    return replace(route, parameters=operation.parameters, body=operation.body, operation_id=operation.operation_id)
