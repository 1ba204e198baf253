"""Loading retail.user_purchase from a CSV, all or nothing, and its latest invoice day, on both servers."""

import csv
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from tests.fixtures.postgres import SourceDatabase, on_both_servers
from user_analytics.errors import InputError, SourceError, Unreachable
from user_analytics.ingest.purchases import ingest_purchases
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import PurchaseTotals
from user_analytics.lake.verified import read_verified
from user_analytics.source import COLUMNS, latest_invoice_day, load_purchases, source_transaction

SAMPLE = Path(__file__).parents[3] / "data" / "user_purchase.csv"
HEADER = ",".join(COLUMNS).encode() + b"\n"
ROW = b"536365,85123A,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
LOADED = ("536365", "85123A", "WHITE HEART", 6, "2010-12-01 08:26:00", Decimal("2.550"), 17850, "United Kingdom")


@pytest.fixture
def load(source: SourceDatabase, tmp_path: Path) -> Callable[[bytes], int]:
    """Load a file with the given bytes."""
    path = tmp_path / "purchases.csv"

    def run(body: bytes) -> int:
        path.write_bytes(body)
        return load_purchases(source.settings, path)

    return run


def loaded(source: SourceDatabase) -> list[tuple[object, ...]]:
    columns = ", ".join(COLUMNS).replace("invoice_date", "invoice_date::text")
    return source.execute(f"select {columns} from retail.user_purchase order by ctid")


def with_detail(detail: str | None) -> tuple[object, ...]:
    return (*LOADED[:2], detail, *LOADED[3:])


@on_both_servers
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(HEADER + ROW + ROW, [LOADED, LOADED], id="plain, a line twice"),
        pytest.param(b"\xef\xbb\xbf" + HEADER + ROW, [LOADED], id="byte order mark"),
        pytest.param((HEADER + ROW).replace(b"\n", b"\r\n"), [LOADED], id="CRLF"),
        pytest.param(HEADER + ROW[:-1], [LOADED], id="no line end at the end"),
        pytest.param(HEADER, [], id="no row"),
        pytest.param(
            b"country,unit_price,customer_id,quantity,detail,stock_code,invoice_date,invoice_number\n"
            b"United Kingdom,2.55,17850,6,WHITE HEART,85123A,2010-12-01 08:26:00,536365\n",
            [LOADED],
            id="columns in another order",
        ),
        pytest.param(HEADER.replace(b"detail", b'"detail"') + ROW, [LOADED], id="header in quotes"),
        pytest.param(
            HEADER + ROW.replace(b"WHITE HEART", b'"a ""b"", c\nd"'), [with_detail('a "b", c\nd')], id="quotes"
        ),
        pytest.param(
            HEADER + ROW.replace(b"WHITE HEART", b'"a\n\\.\nb"'), [with_detail("a\n\\.\nb")], id="quoted end marker"
        ),
        pytest.param(HEADER + ROW.replace(b"WHITE HEART", b""), [with_detail(None)], id="nothing is NULL"),
        pytest.param(HEADER + ROW.replace(b"WHITE HEART", b'""'), [with_detail("")], id="quoted nothing is text"),
        pytest.param(HEADER + ROW.replace(b"17850", b""), [(*LOADED[:6], None, LOADED[7])], id="guest"),
        pytest.param(
            HEADER + ROW.replace(b"WHITE HEART", "crème".encode()), [with_detail("crème")], id="not ASCII"
        ),
    ],
)  # fmt: skip
def test_a_file_replaces_the_table(
    load: Callable[[bytes], int], source: SourceDatabase, body: bytes, expected: list[tuple[object, ...]]
) -> None:
    load(HEADER + ROW * 3)

    assert load(body) == len(expected)
    assert loaded(source) == expected


@on_both_servers
@pytest.mark.parametrize(
    ("body", "message"),
    [
        *[
            pytest.param(
                HEADER + ROW + ROW.replace(good, bad),
                rf"line 3(, column \w+)?: {message}.*; retail.user_purchase was left as it was",
                id=name,
            )
            for name, good, bad, message in (
                ("quantity no integer", b",6,", b",six,", "invalid input syntax for type integer"),
                ("quantity missing", b",6,", b",,", "null value in column .quantity."),
                ("key missing", b"536365", b"", "null value in column .invoice_number."),
                ("price no number", b"2.55", b"2;55", "invalid input syntax for type numeric"),
                ("price with more than 3 decimals", b"2.55", b"2.5555", ".*unit_price_has_at_most_3_decimals"),
                ("price too large", b"2.55", b"100000", "numeric field overflow"),
                ("no such date", b"2010-12-01", b"2010-13-01", "date/time field value out of range"),
                ("customer_id with decimals", b"17850", b"17850.0", "invalid input syntax for type bigint"),
                ("field missing", b",United Kingdom", b"", "missing data for column"),
                ("field too many", b"WHITE HEART", b"WHITE,HEART", "(extra data|invalid input)"),
                ("invalid UTF-8", b"WHITE", b"WHI\xffTE", "invalid byte sequence"),
            )
        ],
        pytest.param(
            HEADER + ROW + ROW.replace(b"WHITE", b'"WHITE') + ROW, "a quote opened in the record at line 3", id="open"
        ),
        pytest.param(HEADER + ROW + b"\\.\n" + ROW, r"line 3 is \\\. instead of a row", id="end marker of Postgres"),
        pytest.param(b"", "it is empty or has no header line", id="empty"),
        pytest.param(HEADER.replace(b"detail", b"text") + ROW, "its header has no column detail", id="column missing"),
        pytest.param(
            HEADER.replace(b"detail", b"detail,colour") + ROW, "retail.user_purchase has no column colour", id="more"
        ),
        pytest.param((HEADER + ROW).replace(b"\n", b"\r"), "its lines end in CR alone", id="CR only"),
    ],
)  # fmt: skip
def test_a_file_with_a_bad_row_is_refused_by_line_and_the_table_left_as_it_was(
    load: Callable[[bytes], int], source: SourceDatabase, tmp_path: Path, body: bytes, message: str
) -> None:
    load(HEADER + ROW)

    with pytest.raises(InputError, match=f"^{tmp_path}/purchases.csv: {message}"):
        load(body)

    assert loaded(source) == [LOADED]
    assert load(HEADER + ROW + ROW) == 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nonexistent/purchases.csv", "No such file or directory"),
        ("/proc", "Is a directory"),
        ("/proc/self/mem", "Input/output error"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(source: SourceDatabase, path: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"cannot read the purchases file {path}: {reason}"):
        load_purchases(source.settings, Path(path))


@on_both_servers
def test_the_table_is_created_when_it_is_missing(empty_source: SourceDatabase, tmp_path: Path) -> None:
    (tmp_path / "purchases.csv").write_bytes(HEADER + ROW)

    assert load_purchases(empty_source.settings, tmp_path / "purchases.csv") == 1
    assert loaded(empty_source) == [LOADED]


def test_readers_see_the_old_rows_until_the_new_ones_are_there(
    load: Callable[[bytes], int], source: SourceDatabase
) -> None:
    load(HEADER + ROW)
    reader = source.server.connect(source.settings.source_database)
    try:
        with reader, reader.cursor() as cursor:
            cursor.execute("select count(*) from retail.user_purchase")
            with pytest.raises(SourceError, match="locked by another session"):
                load_purchases(source.settings.model_copy(update={"connect_timeout_seconds": 0.5}), SAMPLE)
            cursor.execute("select count(*) from retail.user_purchase")
            assert cursor.fetchone() == (1,)
    finally:
        reader.close()
    assert loaded(source) == [LOADED]


@on_both_servers
def test_the_sample_goes_through_table_and_extract_to_the_last_digit(source: SourceDatabase, store: LocalStore) -> None:
    with SAMPLE.open(newline="", encoding="utf-8") as file:
        expected: list[tuple[Any, ...]] = [
            (
                *(row[name] for name in ("invoice_number", "stock_code")),
                row["detail"] or None,
                int(row["quantity"]),
                datetime.fromisoformat(row["invoice_date"]).replace(tzinfo=UTC),
                Decimal(row["unit_price"]),
                int(row["customer_id"]) if row["customer_id"] else None,
                row["country"] or None,
            )
            for row in csv.DictReader(file)
        ]

    assert load_purchases(source.settings, SAMPLE) == len(expected)
    manifest = ingest_purchases(source.settings, store, date(2010, 12, 8))

    tables = [pq.read_table(pa.BufferReader(read_verified(store, file))) for file in manifest.files]
    assert Counter(tuple(row.values()) for table in tables for row in table.to_pylist()) == Counter(expected)
    assert manifest.control_totals == PurchaseTotals(
        sum_quantity=sum(row[3] for row in expected),
        sum_amount=sum((row[3] * row[5] for row in expected), Decimal(0)),
        null_customer_ids=sum(row[6] is None for row in expected),
    )
    assert latest_invoice_day(source.settings) == max(row[4] for row in expected).date()


@on_both_servers
def test_the_latest_invoice_day_is_in_utc_and_of_dates_an_extract_takes(
    load: Callable[[bytes], int], source: SourceDatabase
) -> None:
    load(HEADER + ROW + ROW.replace(b"12-01 08", b"12-08 03") + ROW.replace(b"2010-12-01 08:26:00", b"infinity"))

    assert latest_invoice_day(source.settings) == date(2010, 12, 8)
    tokyo = source.settings.model_copy(update={"source_timezone": "Asia/Tokyo"})
    assert latest_invoice_day(tokyo) == date(2010, 12, 7)


def test_a_table_without_invoices_has_no_latest_day(source: SourceDatabase) -> None:
    place = r"retail.user_purchase of database test_\w+ at 127.0.0.1:\d+"
    with pytest.raises(InputError, match=rf"{place} has no invoice .*: give one, --date YYYY-MM-DD"):
        latest_invoice_day(source.settings)


def test_a_latest_day_to_come_is_refused_as_the_default_date_of_a_run(
    load: Callable[[bytes], int], source: SourceDatabase
) -> None:
    load(HEADER + ROW + ROW.replace(b"2010-12-01", b"2159-01-01"))

    said = (
        r"the latest invoice of retail.user_purchase of database test_\w+ at .* is of 2159-01-01, which is after today"
    )
    with pytest.raises(InputError, match=rf"{said}, .* \(UTC\): .*SOURCE_TIMEZONE .*--date YYYY-MM-DD"):
        latest_invoice_day(source.settings)


def test_a_server_that_is_starting_is_waited_for(source: SourceDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = psycopg2.connect
    answers = iter([psycopg2.OperationalError("FATAL:  the database system is starting up"), None])

    def starting(**arguments: Any) -> object:
        if error := next(answers):
            raise error
        return connect(**arguments)

    monkeypatch.setattr(psycopg2, "connect", starting)

    with source_transaction(source.settings) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        assert cursor.fetchone() == (1,)


def test_a_statement_that_the_server_cancels_is_no_verdict_on_the_table(source: SourceDatabase) -> None:
    with (
        pytest.raises(SourceError, match="canceling statement due to statement timeout"),
        source_transaction(source.settings) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("set local statement_timeout = 10; select pg_sleep(60)")


def test_a_host_name_that_does_not_resolve_is_an_error_after_the_stated_time(source: SourceDatabase) -> None:
    settings = source.settings.model_copy(
        update={"source_host": "nowhere.invalid", "source_password": SecretStr("x"), "connect_timeout_seconds": 0.5}
    )
    began = time.monotonic()

    with pytest.raises(Unreachable, match=r"Postgres at nowhere.invalid:\d+ did not answer within 0.5 s"):
        latest_invoice_day(settings)

    assert time.monotonic() - began < 15
