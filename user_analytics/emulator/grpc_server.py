"""The Storage API's gRPC server: TLS, and threads enough for every open write stream.

Corrected behaviours of the stock `bqemulator.grpc_api.server`:

- It serves in the clear only, while the Spark connector speaks TLS only. Here the same server listens with a
  certificate (gRPC negotiates ALPN `h2` itself). Still needed while it calls `add_insecure_port`.
- gRPC leaves SO_REUSEPORT on, with which two emulators that start together silently share a port. Here it is off.
- An open write stream holds a thread until its client closes it, which the Spark connector does after it finalized
  the stream, for which it needs another one. The default pool has four more threads than cores; with as many streams
  open nobody can finish. Here there are threads for many. Still needed while
  `BigQueryWriteHandler._handle_append_rows` is not a coroutine.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from user_analytics.errors import WarehouseError

MAXIMUM_OPEN_STREAMS = 256


class TlsServers:
    """Stands in for the module `grpc` where the stock factory builds its server."""

    def __init__(self, *, certificate: bytes, key: bytes) -> None:
        self._credentials = grpc.ssl_server_credentials([(key, certificate)])
        self.aio = self

    def server(self, *, interceptors: Sequence[Any], options: Sequence[tuple[str, Any]]) -> grpc.aio.Server:
        """A server whose every port speaks TLS."""
        server = grpc.aio.server(
            migration_thread_pool=ThreadPoolExecutor(MAXIMUM_OPEN_STREAMS, thread_name_prefix="storage-api"),
            interceptors=interceptors,
            options=[*options, ("grpc.so_reuseport", 0)],
        )

        def listen(address: str) -> int:
            try:
                port: int = server.add_secure_port(address, self._credentials)
            except RuntimeError as error:
                raise WarehouseError(f"the emulator cannot listen on {address}: {error}") from error

            return port

        server.add_insecure_port = listen
        return server
