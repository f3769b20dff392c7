"""What a caller has to hear. Each leaves the app as a problem document (RFC 9457); none quotes anything internal."""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):  # noqa: N818  (a refusal is an answer, not an error)
    """Ends the request: everything rolls back, unless ``keep`` says that what was written is to be kept."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, *, keep: bool = False, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.keep = keep
        self.headers = headers or {}


class Unauthorized(Refused):
    """Nobody is signed in, or no longer."""

    status = 401
    code = "unauthorized"

    def __init__(self, detail: str = "Not signed in, or no longer.", *, keep: bool = False) -> None:
        super().__init__(detail, keep=keep, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refused):
    """Signed in, and not allowed to."""

    status = 403
    code = "forbidden"


class NotFound(Refused):
    """Not there, or not for this tenant: the caller cannot tell which."""

    status = 404
    code = "not_found"

    def __init__(self, detail: str = "There is no such thing here.", *, keep: bool = False) -> None:
        super().__init__(detail, keep=keep)


class Conflict(Refused):
    """At odds with what is there."""

    status = 409
    code = "conflict"


class Unprocessable(Refused):
    """Understood, and not possible."""

    status = 422
    code = "unprocessable"


class TooMany(Refused):
    """Too often."""

    status = 429
    code = "too_many"


class ProviderTrouble(Refused):
    """A service that the app depends on failed."""

    status = 502
    code = "provider_trouble"


class Unavailable(Refused):
    """Not now."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str = "Not available at the moment; try again.") -> None:
        super().__init__(detail, headers={"Retry-After": "5"})
