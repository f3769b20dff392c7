"""Refusals, and how every error leaves the app: problem details (RFC 9457) that quote nothing internal."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)
SCHEMA_MISMATCH = (pg.UndefinedTable, pg.UndefinedColumn)


class Refusal(Exception):  # noqa: N818
    """Something the caller has to hear about."""

    status = 400

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers


class Unauthorized(Refusal):
    status = 401

    def __init__(self, detail: str = "Not signed in, or no longer.") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refusal):
    status = 403


class NotFound(Refusal):
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such thing here.")


class Conflict(Refusal):
    status = 409


class Unprocessable(Refusal):
    status = 422


class TooMany(Refusal):
    status = 429


class ProviderTrouble(Refusal):
    status = 502


class Unavailable(Refusal):
    status = 503

    def __init__(self, detail: str = "Not available at the moment; try again.") -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")


def from_database(error: DBAPIError) -> Refusal | None:
    """What a database error means to the caller; None when it is a fault of ours."""
    if isinstance(error, IntegrityError):
        return Conflict("The request conflicts with what is already there.")
    if isinstance(error.orig, SCHEMA_MISMATCH):
        return Unavailable("The database does not match this release.")
    retryable = (pg.OperationalError, pg.InterfaceError, pg.QueryCanceled, pg.LockNotAvailable)
    if error.connection_invalidated or isinstance(error.orig, retryable):
        return Unavailable()
    return None


def install(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return problem(error.status, error.detail, error.headers)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Never the input: it may hold a password.
        faults = [{"at": [str(part) for part in e["loc"]], "message": e["msg"]} for e in error.errors()]
        return problem(422, "The request is not valid.", errors=faults)

    @app.exception_handler(PoolTimeout)
    async def crowded(_: Request, error: PoolTimeout) -> JSONResponse:
        log.error("no database connection became free in time")
        return problem(503, Unavailable().detail, {"Retry-After": "5"})

    @app.exception_handler(DBAPIError)
    async def database(request: Request, error: DBAPIError) -> JSONResponse:
        refusal = from_database(error)
        if refusal is None or not isinstance(refusal, Conflict):
            log.error("database error: %s", type(error.orig).__name__, exc_info=refusal is None)
        if isinstance(error.orig, SCHEMA_MISMATCH):
            request.app.state.readiness.doubt()
        if refusal is None:
            return problem(500, "Something went wrong on our side.")
        return problem(refusal.status, refusal.detail, refusal.headers)
