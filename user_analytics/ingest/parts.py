"""Parquet parts of bounded size, written to a store one after the other."""

import hashlib
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from user_analytics.lake.manifest import Column, DataFile
from user_analytics.lake.store import Store

PART_BYTES = 64 << 20
"""Size in memory, before compression, at which a part is full."""
PART_ROWS = 250_000


class PartWriter:
    """Writes record batches as Parquet objects of about PART_BYTES or PART_ROWS, whichever is less.

    Each part is built in memory and uploaded whole. `key_of` gives the key of the 0-based part.
    """

    def __init__(self, store: Store, schema: pa.Schema, key_of: Callable[[int], str]) -> None:
        self.files: list[DataFile] = []
        self.rows = 0
        self._store = store
        self._schema = schema
        self._key_of = key_of
        self._sink: pa.BufferOutputStream | None = None
        self._writer: pq.ParquetWriter | None = None
        self._part_rows = 0
        self._part_bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Append rows; raises LakeError when a part that became full cannot be stored."""
        if rows.num_rows == 0:
            return
        if self._writer is None:
            self._sink = pa.BufferOutputStream()
            self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._writer.write_batch(rows)
        self.rows += rows.num_rows
        self._part_rows += rows.num_rows
        self._part_bytes += rows.nbytes
        if self._part_rows >= PART_ROWS or self._part_bytes >= PART_BYTES:
            self._finish_part()

    def finish(self) -> list[DataFile]:
        """Store the last part; returns all of them, none when no row was written."""
        if self._writer is not None:
            self._finish_part()
        return self.files

    def _finish_part(self) -> None:
        assert self._writer is not None and self._sink is not None  # noqa: S101, PT018
        self._writer.close()
        body = self._sink.getvalue()
        key = self._key_of(len(self.files))
        self._store.put_stream(key, pa.BufferReader(body))
        self.files.append(
            DataFile(key=key, size=body.size, sha256=hashlib.sha256(body).hexdigest(), rows=self._part_rows)
        )
        self._writer = self._sink = None
        self._part_rows = self._part_bytes = 0


def columns_of(schema: pa.Schema) -> list[Column]:
    """The schema as a manifest states it."""
    return [Column(name=field.name, type=str(field.type)) for field in schema]
