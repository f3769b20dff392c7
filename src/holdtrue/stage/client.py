"""The HTTP client of a rehearsal: one new connection per request, nothing followed, nothing remembered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx
import jmespath
from jmespath.exceptions import JMESPathError

PATIENCE = 30.0
"""Seconds after which a request counts as hanging, however much of an answer has come."""
LARGEST = 32 * 2**20
"""Bytes of an answer's body; more than that is taken for a body without end."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the app answered, or how it failed to."""

    status: int | None
    """None when no answer came; then ``failure`` says why."""
    headers: httpx.Headers
    body: bytes
    failure: str | None = None
    hung: bool = False
    """Whether the time was up before the answer was complete."""

    @property
    def admitted(self) -> bool:
        """Whether the app did what was asked: a 2xx."""
        return self.status is not None and httpx.codes.is_success(self.status)

    @property
    def succeeded(self) -> bool:
        """Any answer below 400: a browser's form is often answered by a redirect."""
        return self.status is not None and self.status < httpx.codes.BAD_REQUEST

    @property
    def failed(self) -> bool:
        """No answer, or a 5xx: the app did not cope."""
        return self.status is None or httpx.codes.is_server_error(self.status)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def describe(self) -> str:
        """``201``, or the failure in words."""
        return str(self.status) if self.status is not None else f"with nothing ({self.failure})"

    def capture(self, where: str) -> object | None:
        """Return what a capture expression finds: ``header:NAME``, ``cookie:NAME`` or a JMESPath into the body."""
        if where.startswith("header:"):
            header: str | None = self.headers.get(where.removeprefix("header:"))
            return header
        if where.startswith("cookie:"):
            return self._cookie(where.removeprefix("cookie:"))
        try:
            return self._search(where)
        except JMESPathError:
            return None

    def _search(self, expression: str) -> object | None:
        found: object | None = jmespath.search(expression, self.json)
        return found

    def _cookie(self, name: str) -> str | None:
        for line in self.headers.get_list("set-cookie"):
            key, _, rest = line.partition("=")
            if key.strip() == name:
                return rest.split(";", 1)[0]
        return None


def in_turn(answers: Iterable[Answer]) -> str:
    """``500, then 200``."""
    return ", then ".join(answer.describe() for answer in answers)


class Client:
    """Sends requests to processes on loopback."""

    def __init__(self) -> None:
        # uvicorn closes a connection after an unhandled 500: a kept one would make the next request look broken.
        self._http = httpx.AsyncClient(
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=PATIENCE,
            trust_env=False,
            # A cookie that one answer sets must not sign in whoever asks next.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            verify=False,  # noqa: S501
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def send(
        self,
        port: int,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        json_body: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        patience: float | None = None,
    ) -> Answer:
        """Send one request to ``127.0.0.1:port`` and return the answer; a failure to answer is an answer, too.

        ``patience`` is in seconds, for all of the answer; ``PATIENCE`` when absent.
        """
        patience = PATIENCE if patience is None else patience
        body = {"json": json_body} if json_body is not None else {"data": form} if form is not None else {}
        try:
            async with asyncio.timeout(patience):
                return await self._exchange(
                    method,
                    f"http://127.0.0.1:{port}{path}",
                    # As UTF-8: what an app answered and a step captured need not be ASCII.
                    headers=[(name.encode(), value.encode()) for name, value in (headers or {}).items()],
                    params=dict(query) if query else None,
                    content=content,
                    timeout=patience,
                    **body,
                )
        except (TimeoutError, httpx.TimeoutException):
            return _failure(f"none within {patience:g} s", hung=True)
        except httpx.TransportError as error:
            return _failure(f"connection lost: {error or type(error).__name__}")
        except (httpx.DecodingError, httpx.InvalidURL) as error:
            return _failure(f"{type(error).__name__}: {error}")

    async def _exchange(self, method: str, url: str, **request: Any) -> Answer:
        async with self._http.stream(method, url, **request) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    return _failure(f"{response.status_code}, and a body that goes on after {LARGEST} bytes")
            return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


def _failure(reason: str, *, hung: bool = False) -> Answer:
    return Answer(status=None, headers=httpx.Headers(), body=b"", failure=reason, hung=hung)
