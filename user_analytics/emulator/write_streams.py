"""Storage Write API: a connection's later requests belong to the stream its first one named.

Stock: a request that leaves `write_stream` empty, as the protocol allows for every request of a connection but the
first, ends the connection with "Stream not found: ". The Spark connector leaves it empty, so that a second append
per connection fails.
Here: an empty name means the stream the connection is bound to.
Still needed while two appends on one connection, the second without a name, fail.
"""

from typing import Any

from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler


def install() -> None:
    """Let every write handler of this process remember the connection's stream."""
    bind = BigQueryWriteHandler._ensure_stream_bound  # noqa: SLF001

    def ensure_stream_bound(handler: BigQueryWriteHandler, name: str, bound: Any, context: Any) -> Any:
        return bind(handler, name or (bound[0].name if bound else ""), bound, context)

    BigQueryWriteHandler._ensure_stream_bound = ensure_stream_bound  # noqa: SLF001
