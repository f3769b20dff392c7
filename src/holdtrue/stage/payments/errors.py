"""Stripe's errors, in Stripe's words (https://docs.stripe.com/api/errors and /error-codes)."""

from collections.abc import Mapping
from typing import Any

_DOC_URL = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """An answer other than 200. `stored` tells whether an idempotency key remembers it, `undo` whether nothing stays.

    Stripe remembers the result of a request once its execution began: a failed validation is not remembered, a declined
    card or a failure of the server is.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        stored: bool = True,
        undo: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.stored = stored
        self.undo = undo or kind != "card_error"
        self.more = more

    def body(self) -> Mapping[str, Any]:
        """The JSON envelope."""
        error: dict[str, Any] = {}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = _DOC_URL + self.code.replace("_", "-")
        error["message"] = self.message
        if self.param is not None:
            error["param"] = self.param
        error.update(self.more)
        error["type"] = self.kind
        return {"error": error}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """400: the parameters do not pass validation."""
    return StripeError(400, message, param=param, code=code, stored=False)


def refused(message: str, *, param: str | None = None, code: str | None = None, **more: Any) -> StripeError:
    """400: well-formed, but the state of the objects forbids it."""
    return StripeError(400, message, param=param, code=code, **more)


def missing(param: str) -> StripeError:
    """400: a required parameter was not sent."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def no_such(kind: str, identifier: str, *, param: str | None = None) -> StripeError:
    """No object of that id in this account: 404 for the object of the URL, 400 for one named by a parameter."""
    return StripeError(
        404 if param is None else 400,
        f"No such {kind}: '{identifier}'",
        code="resource_missing",
        param=param or "id",
        stored=False,
    )


def unknown_url(method: str, path: str) -> StripeError:
    """404: an address that Stripe, or this double, does not know."""
    return StripeError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        stored=False,
    )


def wrong_key(key: str) -> StripeError:
    """401: a key that is not this run's. Only its last four characters are repeated, as Stripe does."""
    shown = key[:8] + "*" * max(0, len(key) - 12) + key[-4:] if len(key) > 12 else "*" * len(key)
    return StripeError(401, f"Invalid API Key provided: {shown}", stored=False)


def no_key() -> StripeError:
    """401: no key at all."""
    return StripeError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
        "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for "
        "details, or we can help at https://support.stripe.com/.",
        stored=False,
    )


def publishable_key() -> StripeError:
    """403: the publishable key used where the secret one is needed."""
    return StripeError(
        403,
        "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of "
        "your API keys at https://dashboard.stripe.com/account/apikeys.",
        code="secret_key_required",
        stored=False,
    )


def no_access(key: str, account: str) -> StripeError:
    """403: `Stripe-Account` names an account that is not connected to the platform."""
    return StripeError(
        403,
        f"The provided key '{key[:8]}{'*' * 20}{key[-4:]}' does not have access to account '{account}' (or that "
        "account does not exist). Application access may have been revoked.",
        code="account_invalid",
        stored=False,
    )


def server_failure() -> StripeError:
    """500: Stripe itself failed."""
    return StripeError(
        500,
        "An unknown error occurred. Please try again, or contact support@stripe.com if the problem persists.",
        kind="api_error",
    )


def too_many() -> StripeError:
    """429: the rate limiter answers before execution begins, so no key remembers it."""
    return StripeError(
        429,
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        stored=False,
    )


def key_in_use(key: str) -> StripeError:
    """409: another request with this idempotency key has not been answered yet."""
    return StripeError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        kind="idempotency_error",
        code="idempotency_key_in_use",
        stored=False,
    )


def key_reused(key: str) -> StripeError:
    """400: the idempotency key was first used with other parameters."""
    return StripeError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using "
        f"a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
        stored=False,
    )


def key_of_another_endpoint(key: str, now: str, first: str) -> StripeError:
    """400: the idempotency key was first used at another address."""
    return StripeError(
        400,
        "Keys for idempotent requests can only be used for the same endpoint they were first used for "
        f"('{now}' vs '{first}'). Try using a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
        stored=False,
    )
