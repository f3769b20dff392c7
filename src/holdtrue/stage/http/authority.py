"""The certificate authority of one run: doubles speak TLS under a real service's name, trusted by this run only."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """Issues server certificates for any host name, signed by a root that exists for this run only.

    The root's private key never leaves memory. Only `ca_file` (the public root, PEM) is written; an app trusts
    it through `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` or `NODE_EXTRA_CA_CERTS`. The certificates are valid from
    2000 to 3000, so that moving the app's clock does not invalidate them.
    """

    def __init__(self, directory: Path) -> None:
        import trustme  # only here: it takes a tenth of the time of a check that starts nothing

        self._root = trustme.CA(organization_name="holdtrue stage", organization_unit_name="one run")
        self.ca_file = directory / "stage-ca.pem"
        self.ca_file.write_bytes(self._root.cert_pem.bytes())

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """The TLS settings of a server that answers as any of `hosts` (DNS names or IP addresses)."""
        if not hosts:
            raise ValueError("a server certificate needs at least one host name; pass the names the app connects to")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        self._root.issue_cert(*hosts).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """The TLS settings of a client that trusts this run's servers and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))
