"""What the servers of the tests' own apps have in common; copied beside each."""

from __future__ import annotations

import http.server
import json
import sys
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every method by ``handle_request``, in JSON."""

    def handle_request(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request."""
        self.handle_request()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def sent(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status: int, content: object) -> None:
        """Send JSON."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep the log for what matters."""


class Server(http.server.ThreadingHTTPServer):
    """Answers requests side by side, and says nothing of clients that went away."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what is no fault of the client."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve(port: int, handler: type[Handler], *, alone: bool = False) -> None:
    """Answer for ever; ``alone``, one request after the other."""
    kind = http.server.HTTPServer if alone else Server
    kind(("127.0.0.1", port), handler).serve_forever()
