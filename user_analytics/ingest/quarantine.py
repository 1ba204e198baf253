"""Rows that cannot be taken, kept with the reason and their raw text."""

import hashlib
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import BinaryIO, Self, cast

import pyarrow as pa
import pyarrow.parquet as pq

from user_analytics.lake.manifest import DataFile
from user_analytics.lake.store import Store
from user_analytics.lake.verified import read_verified

SCHEMA = pa.schema(
    [
        pa.field("record_number", pa.int64(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw_text", pa.string(), nullable=False),
    ]
)
"""`record_number`: 1-based ordinal in the source. `line`: first line in the source file, NULL for a table."""

BATCH_ROWS = 10_000
BATCH_CHARACTERS = 8 << 20
MEMORY_BYTES = 16 << 20


class Quarantine:
    """Collects rejected rows into one Parquet object; past MEMORY_BYTES it grows on disk, not in memory."""

    def __init__(self, store: Store, key: str) -> None:
        self.rows = 0
        self._store = store
        self._key = key
        self._pending: list[tuple[int, int | None, str, str]] = []
        self._pending_characters = 0
        self._file: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record_number: int, line: int | None, reason: str, raw_text: str) -> None:
        """Keep one row with the reason why it was not taken."""
        self._pending.append((record_number, line, reason, raw_text))
        self._pending_characters += len(raw_text)
        self.rows += 1
        if len(self._pending) >= BATCH_ROWS or self._pending_characters >= BATCH_CHARACTERS:
            self._flush()

    def finish(self) -> DataFile | None:
        """Store the rows; None when there are none. Raises LakeError."""
        if not self.rows:
            return None
        self._flush()
        assert self._writer is not None and self._file is not None  # noqa: S101, PT018
        self._writer.close()
        self._file.seek(0)
        digest = hashlib.sha256()
        while block := self._file.read(1 << 20):
            digest.update(block)
        self._file.seek(0)
        size = self._store.put_stream(self._key, self._file)
        return DataFile(key=self._key, size=size, sha256=digest.hexdigest(), rows=self.rows)

    def _flush(self) -> None:
        if self._writer is None:
            self._file = cast("BinaryIO", SpooledTemporaryFile(max_size=MEMORY_BYTES))  # noqa: SIM115
            self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd")
        columns = zip(*self._pending, strict=True)
        self._writer.write_batch(
            pa.record_batch(
                [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], SCHEMA
            )
        )
        self._pending.clear()
        self._pending_characters = 0


def read_quarantine(store: Store, file: DataFile) -> pa.Table:
    """The quarantined rows of a manifest, with the columns of SCHEMA; raises CorruptObject or LakeError."""
    return pq.read_table(pa.BufferReader(read_verified(store, file)))
