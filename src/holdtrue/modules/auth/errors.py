"""What auth refuses, and under which code."""

from __future__ import annotations

from holdtrue.runtime import Conflict, Forbidden, Refused, TooMany, Unauthorized, Unprocessable


class WrongCredentials(Unauthorized):
    """One answer for an unknown address and for a wrong password."""

    code = "auth.wrong_credentials"

    def __init__(self) -> None:
        super().__init__("E-mail or password is wrong.")


class InvalidGrant(Unauthorized):
    """A refresh token that is unknown, used, expired, ended, or another client's: the caller is not told which."""

    code = "auth.invalid_grant"

    def __init__(self, *, keep: bool = False) -> None:
        super().__init__("This refresh token is not valid, or no longer.", keep=keep)


class InvalidScope(Unprocessable):
    """More than the session was opened for."""

    code = "auth.invalid_scope"


class InvalidLink(Refused):
    """A mailed link that is unknown, used or expired."""

    code = "auth.invalid_link"

    def __init__(self) -> None:
        super().__init__("This link is not valid, or no longer. Ask for a new one.")


class NotAMember(Forbidden):
    """The tenant that was asked for is not there, or not for this person."""

    code = "auth.not_a_member"


class TooManyAttempts(TooMany):
    """A limit was reached; the header says when to come back."""

    code = "auth.too_many_attempts"

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many attempts; try again later.", headers={"Retry-After": str(seconds)})


class PeopleOnly(Forbidden):
    """An API key asked for what only somebody signed in may do."""

    code = "auth.people_only"


class TooWide(Forbidden):
    """A scope that the caller does not hold."""

    code = "auth.too_wide"


class TooManyKeys(Conflict):
    """The tenant has as many API keys as it may have."""

    code = "auth.too_many_keys"
