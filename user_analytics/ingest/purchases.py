"""The source table: extracted by one COPY statement into Parquet parts, rejected rows set apart.

Postgres judges each row (sql/postgres/extract_user_purchase.sql), so that only values of their
final types reach Arrow, and amounts stay decimals from the table to the last sum.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, Inexact
from io import BytesIO
from typing import Final, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from pyarrow import csv

from user_analytics import __version__
from user_analytics.errors import InputError, SettingsError
from user_analytics.ingest.parts import PartWriter, columns_of
from user_analytics.ingest.quarantine import Quarantine
from user_analytics.lake import keys
from user_analytics.lake.manifest import PurchaseTotals, RawManifest, write_raw_manifest
from user_analytics.lake.schemas import RAW_SCHEMAS
from user_analytics.lake.store import Store
from user_analytics.mode import Mode
from user_analytics.settings import Settings
from user_analytics.source import COLUMNS, source_place, source_transaction
from user_analytics.source import TABLE as SOURCE_TABLE
from user_analytics.sql import render_sql

log = structlog.get_logger()

TABLE: Final = "user_purchase"
SCHEMA = RAW_SCHEMAS[TABLE]
REJECTED = pa.field("rejected", pa.string())
"""NULL for a row to take, else the reason, a line feed and the row as JSON."""

NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
TEXTS = ("text", "character varying", "character")
TIMES = ("timestamp without time zone", "timestamp with time zone", "date")
ACCEPTED_TYPES = {
    "quantity": NUMBERS + TEXTS,
    "unit_price": NUMBERS + TEXTS,
    "customer_id": NUMBERS + TEXTS,
    "invoice_date": TIMES,
}

BLOCK_BYTES = 2 << 20
COLUMN_NAMES = [*SCHEMA.names, REJECTED.name]
PARSE_OPTIONS = csv.ParseOptions(newlines_in_values=True)
# COPY writes NULL as nothing and an empty text as "".
CONVERT_OPTIONS = csv.ConvertOptions(
    column_types={**{field.name: field.type for field in [*SCHEMA, REJECTED]}, "invoice_date": pa.timestamp("us")},
    null_values=[""],
    strings_can_be_null=True,
    quoted_strings_can_be_null=False,
)
EXACT = Context(prec=76, traps=[Inexact])


class Window(NamedTuple):
    """A half-open interval of UTC time."""

    start: datetime
    end: datetime


def incremental_window(ds: date, lookback_days: int) -> Window:
    """The UTC days from `ds` − `lookback_days` to `ds`, both included.

    Raises SettingsError when they are not all within the years 1 to 9999.
    """
    midnight = datetime.combine(ds, time(), UTC)
    try:
        return Window(midnight - timedelta(days=lookback_days), midnight + timedelta(days=1))
    except OverflowError as error:
        raise SettingsError(
            f"{ds} with LOOKBACK_DAYS {lookback_days} needs days outside the years 1 to 9999: choose another date, or "
            "fewer days"
        ) from error


def ingest_purchases(
    settings: Settings, store: Store, ds: date, *, mode: Mode = "full", lookback_days: int | None = None
) -> RawManifest:
    """Make the source table, or its last days, the raw data of `ds`; returns the manifest written.

    One statement reads one snapshot of the table, in memory that does not grow with it. `incremental`
    takes the rows of `incremental_window` (`lookback_days` defaults to LOOKBACK_DAYS). Raises
    InputError when the table cannot be taken as it is, SourceError or Unreachable when it cannot be read,
    SettingsError for a window that cannot be; then no manifest is written.
    """
    window = None
    if mode == "incremental":
        window = incremental_window(ds, settings.lookback_days if lookback_days is None else lookback_days)
    attempt = uuid4()
    parts = PartWriter(store, SCHEMA, lambda number: keys.raw_part(TABLE, ds, attempt, number))
    with Quarantine(store, keys.quarantine_part(TABLE, ds, attempt)) as quarantine:
        rows = _Rows(parts, quarantine)
        _extract(settings, window, rows)
        files, quarantined = parts.finish(), quarantine.finish()
    manifest = RawManifest(
        table=TABLE,
        ds=ds,
        mode=mode,
        window=window,
        attempt=attempt,
        files=files,
        original=None,
        quarantine=quarantined,
        source_rows=parts.rows + quarantine.rows,
        rows=parts.rows,
        quarantined_rows=quarantine.rows,
        columns=columns_of(SCHEMA),
        control_totals=rows.totals,
        source=f"{SOURCE_TABLE} of {source_place(settings)}",
        created_at=datetime.now(UTC),
        version=__version__,
    )
    write_raw_manifest(store, manifest)
    log.info("ingested", table=TABLE, ds=str(ds), mode=mode, rows=parts.rows, quarantined=quarantine.rows)
    return manifest


def _extract(settings: Settings, window: Window | None, rows: "_Rows") -> None:
    with source_transaction(settings) as connection, connection.cursor() as cursor:
        cursor.execute(render_sql("postgres/session.sql"))
        # Without it, a table truncated and refilled while COPY waits for it would look empty.
        cursor.execute(f"LOCK TABLE {SOURCE_TABLE} IN ACCESS SHARE MODE")
        cursor.execute(render_sql("postgres/source_columns.sql"))
        types = dict(cursor.fetchall())
        _check_types(types, settings)
        statement = render_sql(
            "postgres/extract_user_purchase.sql",
            quantity_type=types["quantity"],
            unit_price_type=types["unit_price"],
            customer_id_type=types["customer_id"],
            window_start=window.start.isoformat() if window else "",
            window_end=window.end.isoformat() if window else "",
        )
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')", rows)
        rows.flush()


def _check_types(types: dict[str, str], settings: Settings) -> None:
    if missing := [column for column in COLUMNS if column not in types]:
        raise InputError(f"{SOURCE_TABLE} of {source_place(settings)} has no column {', '.join(missing)}")
    for column, accepted in ACCEPTED_TYPES.items():
        if types[column] not in accepted:
            raise InputError(
                f"{SOURCE_TABLE} of {source_place(settings)}: column {column} is {types[column]}; "
                f"it must be one of {', '.join(accepted)}"
            )


class _Rows:
    """What COPY writes to: one call per row, parsed in blocks of about BLOCK_BYTES, added up exactly."""

    def __init__(self, parts: PartWriter, quarantine: Quarantine) -> None:
        self._parts = parts
        self._quarantine = quarantine
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._rows = 0
        self._sum_quantity = Decimal(0)
        self._sum_amount = Decimal(0)
        self._null_customer_ids = 0

    @property
    def totals(self) -> PurchaseTotals:
        """Control totals over the accepted rows so far."""
        return PurchaseTotals(
            sum_quantity=int(self._sum_quantity),
            sum_amount=self._sum_amount,
            null_customer_ids=self._null_customer_ids,
        )

    def write(self, row: bytes) -> None:
        """Take one row as CSV."""
        self._block.append(row)
        self._block_bytes += len(row)
        if self._block_bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Parse and pass on what was taken."""
        if not self._block:
            return
        body = b"".join(self._block)
        options = csv.ReadOptions(column_names=COLUMN_NAMES, block_size=len(body))  # a row must not span blocks
        table = csv.read_csv(BytesIO(body), options, PARSE_OPTIONS, CONVERT_OPTIONS)
        self._block.clear()
        self._block_bytes = 0
        for batch in table.to_batches():
            self._split(batch)

    def _split(self, batch: pa.RecordBatch) -> None:
        rejected = batch.column(REJECTED.name)
        if rejected.null_count < len(rejected):
            for number, text in enumerate(rejected.to_pylist(), start=self._rows + 1):
                if text is not None:
                    reason, _, row = text.partition("\n")
                    self._quarantine.add(number, None, reason, row)
            batch = batch.filter(pc.is_null(rejected))
        self._rows += len(rejected)
        accepted = batch.select(SCHEMA.names).cast(SCHEMA)
        if accepted.num_rows:
            self._add_up(accepted)
            self._parts.write(accepted)

    def _add_up(self, batch: pa.RecordBatch) -> None:
        quantity = batch.column("quantity").cast(pa.decimal128(19, 0))
        amount = pc.multiply(quantity, batch.column("unit_price"))
        self._sum_quantity = EXACT.add(self._sum_quantity, pc.sum(quantity).as_py())
        self._sum_amount = EXACT.add(self._sum_amount, pc.sum(amount).as_py())
        self._null_customer_ids += batch.column("customer_id").null_count
