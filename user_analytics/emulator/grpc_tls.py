"""The Storage API over TLS.

Stock: gRPC is served in the clear only, while the Spark connector speaks TLS only.
Here: the same server listens with a certificate (gRPC negotiates ALPN `h2` itself), on a port of its own: stock
leaves SO_REUSEPORT on, with which two emulators would silently share a port.
Still needed while `bqemulator.grpc_api.server` calls `add_insecure_port`.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from bqemulator.grpc_api import server as stock


class _TlsServers:
    """Stands in for the `grpc` module where the stock factory builds its server."""

    def __init__(self, credentials: grpc.ServerCredentials) -> None:
        self._credentials = credentials
        self.aio = self

    def server(self, *, interceptors: Sequence[Any], options: Sequence[tuple[str, Any]]) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=interceptors, options=[*options, ("grpc.so_reuseport", 0)])
        server.add_insecure_port = lambda address: server.add_secure_port(address, self._credentials)
        return server


def install(*, certificate: bytes, key: bytes) -> None:
    """Make this process's emulator serve gRPC with the certificate and key (PEM)."""
    stock.grpc = _TlsServers(grpc.ssl_server_credentials([(key, certificate)]))
