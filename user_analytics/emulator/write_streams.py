"""Storage Write API: a connection's later requests belong to the stream its first one named.

Stock: a request that leaves `write_stream` empty, as the protocol allows for every request of a connection but the
first, ends the connection with "Stream not found: ". The Spark connector leaves it empty, so that a second append
per connection fails.
Here: an empty name means the stream the connection is bound to.
Still needed while two appends on one connection, the second without a name, fail.
"""

import grpc
import pyarrow as pa
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.streaming.write_stream import WriteStream

Bound = tuple[WriteStream, pa.Schema]


class WriteHandler(BigQueryWriteHandler):
    """The stock handler with a memory of the connection's stream."""

    def _ensure_stream_bound(
        self, stream_name: str, bound_ctx: Bound | None, context: grpc.ServicerContext
    ) -> Bound | None:
        if not stream_name and bound_ctx is not None:
            return bound_ctx
        return super()._ensure_stream_bound(stream_name, bound_ctx, context)
