"""Between HTTP and the API: where a request carries its parameters and its key, and which headers an answer has."""

import base64
import binascii

from holdtrue.stage.http import Request, Response
from holdtrue.stage.payments.calls import Call
from holdtrue.stage.payments.service import Answer


def form_of(request: Request) -> str:
    """The encoded parameters: of the body where it is a POST, else of the query."""
    encoded = (
        request.body if request.method == "POST" or (request.body and not request.query) else request.query.encode()
    )
    return encoded.decode("utf-8", errors="replace")


def key_of(request: Request) -> str:
    """The API key of the Bearer or Basic (the key as user name) header; empty where there is none."""
    authorization = request.header("authorization") or ""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return value.strip()
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def response_of(call: Call, answer: Answer) -> Response:
    """The answer with the headers that Stripe sends."""
    headers = [
        ("Server", "nginx"),
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-cache, no-store"),
        ("Request-Id", str(call.request_id)),
        ("Stripe-Version", call.version),
        *answer.headers,
    ]
    if call.account is not None:
        headers.append(("Stripe-Account", call.account))
    if call.idempotency_key is not None and call.method == "POST":
        headers.append(("Idempotency-Key", call.idempotency_key))
        if not call.replayed:
            headers.append(("Original-Request", str(call.request_id)))
    return Response(status=answer.status, headers=tuple(headers), body=answer.body)
