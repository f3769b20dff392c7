"""How every error leaves the app: problem details (RFC 9457) that quote nothing internal."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from holdtrue.runtime.refusals import Conflict, Refused, Unavailable

log = logging.getLogger(__name__)
SCHEMA_MISMATCH = (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction)
_RETRYABLE = (pg.OperationalError, pg.InterfaceError, pg.QueryCanceled, pg.LockNotAvailable)


def problem(
    status: int, detail: str, code: str = "", headers: dict[str, str] | None = None, **more: object
) -> JSONResponse:
    """A problem document. ``code`` is stable and for programs, ``detail`` is for people."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if code:
        body["code"] = code
    return JSONResponse(body | more, status_code=status, headers=headers, media_type="application/problem+json")


def from_database(error: DBAPIError) -> Refused | None:
    """What a database error means to the caller; None when it is a fault of ours."""
    if isinstance(error, IntegrityError):
        return Conflict("The request conflicts with what is already there.")
    if error.connection_invalidated or isinstance(error.orig, (*SCHEMA_MISMATCH, *_RETRYABLE)):
        return Unavailable()
    return None


def install(app: FastAPI) -> None:
    """Have the app answer every error with a problem document."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return problem(error.status, error.detail, error.code, error.headers)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Never the input: it may hold a password.
        faults = [{"at": [str(part) for part in each["loc"]], "message": each["msg"]} for each in error.errors()]
        return problem(422, "The request is not valid.", "invalid", errors=faults)

    @app.exception_handler(PoolTimeout)
    async def crowded(_: Request, error: PoolTimeout) -> JSONResponse:
        log.error("no database connection became free in time")
        return await refused(_, Unavailable())

    @app.exception_handler(DBAPIError)
    async def database(request: Request, error: DBAPIError) -> JSONResponse:
        refusal = from_database(error)
        if isinstance(error.orig, SCHEMA_MISMATCH):
            request.app.state.health.doubt()
        if refusal is None:
            log.error("database error", exc_info=error, extra={"request_id": request.state.request_id})
            return problem(500, "Something went wrong on our side.", "internal")
        log.warning("database refused: %s", type(error.orig).__name__, extra={"request_id": request.state.request_id})
        return await refused(request, refusal)
