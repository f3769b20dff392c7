"""A small HTTPS server for the doubles of outside services, and the certificate authority of one run."""

from holdtrue.stage.http.authority import Authority
from holdtrue.stage.http.server import Drop, Handler, HttpServer, Request, Response

__all__ = ["Authority", "Drop", "Handler", "HttpServer", "Request", "Response"]
