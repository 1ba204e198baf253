"""Manifests: the single objects whose PUT makes files and staging tables the data of a date.

A manifest's digest is the SHA-256 of its bytes in the store; publish compares digests, so a
manifest is read once and carried with its digest (`Read`).
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, Literal, NamedTuple, TypeVar, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from user_analytics.errors import CorruptObject, ManifestMissing
from user_analytics.lake import keys
from user_analytics.lake.store import Store
from user_analytics.mode import Mode

Table = Literal["movie_review", "user_purchase"]

RAW_MANIFEST = re.compile(
    rf"{keys.RAW}(?:{'|'.join(get_args(Table))})/ds=(?P<ds>\d{{4}}-\d\d-\d\d)/{re.escape(keys.MANIFEST)}"
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFile(_Document):
    """One object: `size` in bytes, `sha256` of all its bytes, `rows` it holds."""

    key: str
    size: int
    sha256: str
    rows: int


class Column(_Document):
    """One column of the Parquet parts: its name and Arrow type as text."""

    name: str
    type: str


class ReviewTotals(_Document):
    """Control totals of movie_review over accepted rows: Σ cid."""

    table: Literal["movie_review"] = "movie_review"
    sum_cid: int


class PurchaseTotals(_Document):
    """Control totals of user_purchase over accepted rows; `sum_amount` = Σ quantity × unit_price, exact."""

    table: Literal["user_purchase"] = "user_purchase"
    sum_quantity: int
    sum_amount: Decimal
    null_customer_ids: int


class RawManifest(_Document):
    """What one ingestion made the raw data of (`table`, `ds`). Counts are rows.

    `window` is the half-open UTC interval an incremental extract covers, None for a full one.
    `original` is the source file as it came (reviews only).
    """

    format: Literal[1] = 1
    table: Table
    ds: date
    mode: Mode
    window: tuple[datetime, datetime] | None
    attempt: UUID
    files: list[DataFile]
    original: DataFile | None
    quarantine: DataFile | None
    source_rows: int
    rows: int
    quarantined_rows: int
    columns: list[Column]
    control_totals: ReviewTotals | PurchaseTotals
    source: str
    created_at: datetime
    version: str

    @model_validator(mode="after")
    def _counts_add_up(self) -> "RawManifest":
        if self.source_rows != self.rows + self.quarantined_rows:
            raise ValueError(
                f"source_rows {self.source_rows} != {self.rows} rows + {self.quarantined_rows} quarantined"
            )
        if self.rows != sum(file.rows for file in self.files):
            raise ValueError(f"rows {self.rows} != the sum over files")
        return self


class StagingManifest(_Document):
    """What one Spark attempt staged: `staging_table` holds `rows` rows made from the raw manifest `raw_digest`."""

    format: Literal[1] = 1
    table: Table
    ds: date
    attempt: UUID
    staging_table: str
    raw_digest: str
    rows: int
    model_version: str | None
    created_at: datetime
    version: str


Document = TypeVar("Document", RawManifest, StagingManifest)


class Read(NamedTuple, Generic[Document]):
    """A manifest with the SHA-256 of the bytes it was read from."""

    manifest: Document
    digest: str


def write_raw_manifest(store: Store, manifest: RawManifest) -> str:
    """Make `manifest` the raw data of its table and date; returns its digest."""
    return _write(store, keys.raw_manifest(manifest.table, manifest.ds), manifest)


def write_staging_manifest(store: Store, manifest: StagingManifest) -> str:
    """Make `manifest` the staged data of its table and date; returns its digest."""
    return _write(store, keys.staging_manifest(manifest.table, manifest.ds), manifest)


def read_raw_manifest(store: Store, table: Table, ds: date) -> Read[RawManifest]:
    """The raw data of a table and date; raises ManifestMissing or CorruptObject."""
    return _read(store, keys.raw_manifest(table, ds), RawManifest, "run its ingestion first")


def raw_dates(store: Store, *tables: Table) -> Iterator[date]:
    """The dates that have raw data of these tables, or of any, one after another; twice when two have."""
    for table in tables or get_args(Table):
        for item in store.list(f"{keys.RAW}{table}/"):
            if match := RAW_MANIFEST.fullmatch(item.key):
                try:
                    yield date.fromisoformat(match["ds"])
                except ValueError:  # not written by an ingestion
                    continue


def read_staging_manifest(store: Store, table: Table, ds: date) -> Read[StagingManifest]:
    """The staged data of a table and date; raises ManifestMissing or CorruptObject."""
    return _read(store, keys.staging_manifest(table, ds), StagingManifest, "run its Spark application first")


def _write(store: Store, key: str, manifest: _Document) -> str:
    body = manifest.model_dump_json(indent=2).encode()
    store.put(key, body)
    return hashlib.sha256(body).hexdigest()


def _read(store: Store, key: str, document: type[Document], remedy: str) -> Read[Document]:
    body = store.get(key)
    if body is None:
        raise ManifestMissing(f"{store.url}/{key} does not exist: {remedy}")
    try:
        return Read(document.model_validate_json(body), hashlib.sha256(body).hexdigest())
    except ValidationError as error:
        raise CorruptObject(f"{store.url}/{key} is not a manifest of this version: {error}") from error
