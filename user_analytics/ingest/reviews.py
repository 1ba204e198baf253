"""The review file: kept byte for byte, and beside it as Parquet parts with the rejected rows set apart."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from uuid import uuid4

import pyarrow as pa
import structlog

from user_analytics import __version__
from user_analytics.errors import CorruptObject, InputError, SettingsError
from user_analytics.ingest.csv_records import CsvRecords, Record
from user_analytics.ingest.parts import PartWriter, columns_of
from user_analytics.ingest.quarantine import Quarantine
from user_analytics.lake import keys
from user_analytics.lake.manifest import DataFile, RawManifest, ReviewTotals, write_raw_manifest
from user_analytics.lake.s3_store import S3Store, split_url
from user_analytics.lake.schemas import RAW_SCHEMAS
from user_analytics.lake.store import Store
from user_analytics.settings import Settings

log = structlog.get_logger()

TABLE: Final = "movie_review"
COLUMNS = ("cid", "review_str")
SCHEMA = RAW_SCHEMAS[TABLE]
BATCH_ROWS = 50_000
BATCH_CHARACTERS = 8 << 20
READ_BYTES = 1 << 20
DIGITS = re.compile(r"0*([0-9]{1,19})")


class Review(NamedTuple):
    """An accepted record."""

    cid: int
    review_str: str


def ingest_reviews(settings: Settings, store: Store, ds: date, *, source: str | None = None) -> RawManifest:
    """Make the review file the raw data of `ds`; returns the manifest written.

    `source` (by default REVIEWS_SOURCE) is a path or s3://BUCKET/KEY. The file is stored first and
    parsed from the store, so that what is kept and what is parsed are the same bytes even while the
    source changes. Raises InputError when the file must be refused; then no manifest is written.
    """
    source = source or settings.reviews_source
    if source is None:
        raise SettingsError("REVIEWS_SOURCE is not set: name the review file, a path or s3://BUCKET/KEY")
    attempt = uuid4()
    key = keys.raw_original(TABLE, ds, attempt, ".csv")
    with _open_source(settings, source) as stream:
        size = store.put_stream(key, stream)
    parts = PartWriter(store, SCHEMA, lambda number: keys.raw_part(TABLE, ds, attempt, number))
    hashed = _Hashed(store.open(key))
    with (
        BufferedReader(hashed, READ_BYTES) as stored,
        CsvRecords(stored, source, COLUMNS) as records,
        Quarantine(store, keys.quarantine_part(TABLE, ds, attempt)) as quarantine,
    ):
        sum_cid = _split(records, parts, quarantine)
        if hashed.size != size:
            raise CorruptObject(f"{store.url}/{key}: {size} bytes were written and {hashed.size} came back")
        files, quarantined = parts.finish(), quarantine.finish()
    source_rows = parts.rows + quarantine.rows
    manifest = RawManifest(
        table=TABLE,
        ds=ds,
        mode="full",
        window=None,
        attempt=attempt,
        files=files,
        original=DataFile(key=key, size=size, sha256=hashed.digest.hexdigest(), rows=source_rows),
        quarantine=quarantined,
        source_rows=source_rows,
        rows=parts.rows,
        quarantined_rows=quarantine.rows,
        columns=columns_of(SCHEMA),
        control_totals=ReviewTotals(sum_cid=sum_cid),
        source=source,
        created_at=datetime.now(UTC),
        version=__version__,
    )
    write_raw_manifest(store, manifest)
    log.info("ingested", table=TABLE, ds=str(ds), rows=parts.rows, quarantined=quarantine.rows, source=source)
    return manifest


def judge(record: Record, cid_position: int, text_position: int, width: int) -> Review | str:
    """The review a record holds, or the reason why it is quarantined."""
    if record.problem is not None:
        return record.problem
    if len(record.fields) != width:
        return f"{len(record.fields)} fields instead of {width}"
    text = record.fields[text_position]
    digits = DIGITS.fullmatch(record.fields[cid_position])
    cid = int(digits[1]) if digits else 0
    if not 1 <= cid < 1 << 63:
        return "cid is not an integer from 1 to 2^63 - 1"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "review_str is not valid UTF-8"
    if not text or text.isspace():
        return "review_str is empty"
    return Review(cid, text)


def _split(records: CsvRecords, parts: PartWriter, quarantine: Quarantine) -> int:
    """Write each record to the parts or the quarantine; returns Σ cid of the parts."""
    cid_position, text_position = (records.header.index(column) for column in COLUMNS)
    width = len(records.header)
    batch: list[tuple[int, int, str]] = []
    characters = sum_cid = 0
    for review_id, record in enumerate(records, start=1):
        verdict = judge(record, cid_position, text_position, width)
        if isinstance(verdict, str):
            quarantine.add(review_id, record.line, verdict, records.raw_text())
            continue
        batch.append((review_id, *verdict))
        characters += len(verdict.review_str)
        sum_cid += verdict.cid
        if len(batch) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            parts.write(_to_arrow(batch))
            batch.clear()
            characters = 0
    parts.write(_to_arrow(batch))
    return sum_cid


def _to_arrow(batch: list[tuple[int, int, str]]) -> pa.RecordBatch:
    columns = zip(*batch, strict=True) if batch else [[] for _ in SCHEMA]
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], SCHEMA
    )


@contextmanager
def _open_source(settings: Settings, source: str) -> Iterator[BinaryIO]:
    """The source's bytes; what goes wrong while they are read is an InputError that names it."""
    if source.startswith("s3://"):
        bucket, key = split_url(source)
        with S3Store(settings, bucket).open(key) as stream:
            yield stream
        return
    try:
        with Path(source).open("rb") as stream:
            yield stream
    except OSError as error:
        raise InputError(f"cannot read the reviews file {source}: {error.strerror or error}") from error


class _Hashed(RawIOBase):
    """A stream that hashes and counts what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        self.digest.update(block)
        self.size += len(block)
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()
