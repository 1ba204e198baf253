"""The source table becomes raw data: the verdict on each row, one snapshot, exact sums; SQL on both servers."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.fixtures.ports import free_port
from tests.fixtures.postgres import SourceDatabase, new_database, on_both_servers
from tests.fixtures.programs import peak_megabytes
from user_analytics import __version__
from user_analytics.embedded.postgres import PostgresServer
from user_analytics.errors import InputError, LakeError, ManifestMissing, SettingsError, SourceError, Unreachable
from user_analytics.ingest import parts, purchases
from user_analytics.ingest.purchases import SCHEMA, ingest_purchases
from user_analytics.ingest.quarantine import read_quarantine
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import Column, PurchaseTotals, RawManifest, read_raw_manifest
from user_analytics.lake.store import Store
from user_analytics.lake.verified import read_verified
from user_analytics.settings import Settings, load_settings
from user_analytics.sql import render_sql

DS = date(2010, 12, 8)
NOON = datetime(2010, 12, 8, 12, tzinfo=UTC)
ROW = {
    "invoice_number": "536365",
    "stock_code": "85123A",
    "detail": "WHITE HEART",
    "quantity": 6,
    "invoice_date": datetime(2010, 12, 8, 12),  # noqa: DTZ001  a timestamp without time zone
    "unit_price": Decimal("2.55"),
    "customer_id": 17850,
    "country": "United Kingdom",
}
EXTRACTED = {**ROW, "invoice_date": NOON, "unit_price": Decimal("2.550")}

WIDE_TABLE = """
create schema if not exists retail;
create table if not exists retail.user_purchase (
    invoice_number text, stock_code text, detail text, quantity {number}, invoice_date timestamp,
    unit_price {number}, customer_id {number}, country text
)
"""


def insert_all(source: SourceDatabase, changes: Sequence[Mapping[str, Any]]) -> None:
    """Insert ROW once for each of `changes`, with them made; by a statement each, as a type is of one value."""
    statement = f"insert into retail.user_purchase ({', '.join(ROW)}) values ({', '.join(['%s'] * len(ROW))})"
    values = [value for each in changes for value in {**ROW, **each}.values()]
    source.execute("; ".join([statement] * len(changes)), *values)


def insert(source: SourceDatabase, **changes: object) -> None:
    insert_all(source, [changes])


def rows(store: Store, manifest: RawManifest) -> list[dict[str, Any]]:
    tables = [pq.read_table(pa.BufferReader(read_verified(store, file))) for file in manifest.files]
    assert [table.num_rows for table in tables] == [file.rows for file in manifest.files]
    assert all(table.schema == SCHEMA for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def quarantined(store: Store, manifest: RawManifest) -> list[tuple[int, None, str, str]]:
    """The quarantined rows as (record number, no line, reason, raw text)."""
    if manifest.quarantine is None:
        return []
    return [tuple(row.values()) for row in read_quarantine(store, manifest.quarantine).to_pylist()]


class Intercepted:
    """A store that calls back once, before its first stream is written."""

    def __init__(self, store: Store, before_first_stream: Callable[[], object]) -> None:
        self._store = store
        self._before_first_stream: Callable[[], object] | None = before_first_stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_stream(self, key: str, stream: BinaryIO) -> int:
        callback, self._before_first_stream = self._before_first_stream, None
        if callback:
            callback()
        return self._store.put_stream(key, stream)


@on_both_servers
def test_a_table_as_designed_is_extracted_with_its_types(source: SourceDatabase, lake: Store) -> None:
    insert(source)

    manifest = ingest_purchases(source.settings, lake, DS)

    assert rows(lake, manifest) == [EXTRACTED]
    assert read_raw_manifest(lake, "user_purchase", DS).manifest == manifest
    assert (manifest.table, manifest.ds, manifest.mode, manifest.window) == ("user_purchase", DS, "full", None)
    assert (manifest.source_rows, manifest.rows, manifest.quarantined_rows) == (1, 1, 0)
    assert (manifest.original, manifest.quarantine, manifest.version) == (None, None, __version__)
    assert manifest.control_totals == PurchaseTotals(sum_quantity=6, sum_amount=Decimal("15.3"), null_customer_ids=0)
    assert manifest.columns[4:6] == [
        Column(name="invoice_date", type="timestamp[us, tz=UTC]"),
        Column(name="unit_price", type="decimal128(8, 3)"),
    ]


class Extraction(NamedTuple):
    """One extract, and the verdict on each row of its table in order: the row taken, or line, reason and raw text."""

    manifest: RawManifest
    verdicts: list[dict[str, Any] | tuple[Any, ...]]
    as_json: list[str]


PRICE = "unit_price is not a NUMERIC(8,3)"
DATE = "invoice_date is not from 1960-01-01 to 2159-12-31"
QUANTITY = "quantity is not an integer of 64 bits"
CUSTOMER = "customer_id is not an integer of 64 bits"

ACCEPTED: dict[str, dict[str, Any]] = {
    "guest": {"customer_id": None},
    "zero price": {"unit_price": Decimal("0.000")},
    "zero quantity": {"quantity": 0},
    "cancellation": {"invoice_number": "C536365", "quantity": -6},
    "least price": {"unit_price": Decimal("-99999.999")},
    "greatest price": {"unit_price": Decimal("99999.999")},
    "least quantity": {"quantity": -(2**31)},
    "greatest customer_id": {"customer_id": 2**63 - 1},
    "no detail, no country": {"detail": None, "country": None},
    "empty detail, empty country": {"detail": "", "country": ""},
    "empty keys": {"invoice_number": "", "stock_code": ""},
    "quotes, commas, line ends": {"detail": 'a "b", c\r\nd\n\\.\n\te\rf'},
    "texts that mean NULL elsewhere": {"detail": "NULL", "country": "\\N"},
    "10 MB": {"detail": "long, " * 1_750_000},
    "not ASCII": {"detail": " crème brûlée 🍮 "},
    "microseconds": {"invoice_date": datetime(2010, 12, 8, 1, 2, 3, 456789, UTC)},
    "half a second": {"invoice_date": datetime(2010, 12, 8, 1, 2, 3, 500000, UTC)},
    "first date": {"invoice_date": datetime(1960, 1, 1, tzinfo=UTC)},
    "last date": {"invoice_date": datetime(2159, 12, 31, 23, 59, 59, 999999, UTC)},
}
"""Changes to ROW that a table as designed can hold."""

NUMBERS = ["text", "varchar(40)", "numeric", "numeric(30, 10)", "double precision", "real"]
"""Types that a table may have for quantity, unit_price and customer_id."""

WIDER: list[Mapping[str, Any]] = [
    {"quantity": "-6", "unit_price": "2.55", "customer_id": "17850"},
    {"quantity": "5", "unit_price": "0.5", "customer_id": None},
]
"""Changes to ROW that are taken whatever the type of numbers."""

FLOATS = [
    ("real", 16_777_216, "12345.678", 123_456_792),
    ("real", -(2**63), "-12345.678", 2**63 - 2**39),
    ("double precision", 2**53 - 1, "99999.999", 1_234_567_890_123_456_768),
    ("double precision", -(2**63), "-99999.999", 2**63 - 1024),
]
"""A type, and a quantity, price and customer_id that need all its digits."""

REJECTED: list[tuple[str, Mapping[str, Any], str]] = [
    *[
        ("numeric", {column: None}, f"{column} is NULL")
        for column in ("invoice_number", "stock_code", "quantity", "unit_price", "invoice_date")
    ],
    *[
        (kind, {"unit_price": price}, PRICE)
        for kind, prices in {
            "numeric": ("NaN", "Infinity", "-Infinity", "100000", "-100000", "99999.9991", "2.5555", "0.0001"),
            "real": ("2.5500002", "1e30"),
            "double precision": (
                "NaN", "Infinity", "-Infinity", "1e300", "2.5555", "1e-300", "2.5500000000000003",
            ),
            "text": ("NaN", "", " ", "abc", "2,55", "1e3", "0x10", " 2.5", "2.5555", "1.2.3", "9" * 500, "-"),
        }.items()
        for price in prices
    ],
    *[
        ("numeric", {"invoice_date": value}, DATE)
        for value in (
            "infinity", "-infinity", "1959-12-31 23:59:59.999999", "2160-01-01", "294276-12-31", "4713-01-01 BC",
        )
    ],
    *[
        (kind, {column: value}, reason)
        for column, reason in {"quantity": QUANTITY, "customer_id": CUSTOMER}.items()
        for kind, value in (
            ("numeric", "1.5"), ("numeric", "9223372036854775808"), ("numeric", "-9223372036854775809"),
            ("numeric", "NaN"), ("double precision", "NaN"), ("double precision", "Infinity"),
            ("double precision", "1.0000000000000002"), ("double precision", "9223372036854775808"),
            ("real", "9223372036854775808"),
            ("text", "12.0"), ("text", ""), ("text", "abc"), ("text", "9223372036854775808"),
        )
    ],
]  # fmt: skip
"""A type of numbers, changes to ROW, and the reason why such a row is not taken."""


def rows_of(kind: str) -> list[Mapping[str, Any]]:
    """All the changes to ROW above that are for this type of numbers, in the order of the rows of its table."""
    floats = [
        {"quantity": str(quantity), "unit_price": price, "customer_id": str(customer_id)}
        for number, quantity, price, customer_id in FLOATS
        if number == kind
    ]
    return [*WIDER, *[changes for number, changes, _ in REJECTED if number == kind], *floats, {}]


def extract(source: SourceDatabase, directory: Path, changes: Sequence[Mapping[str, Any]]) -> Extraction:
    """Fill the table with one row for each of `changes` and extract it."""
    insert_all(source, changes)
    store = LocalStore(directory)
    manifest = ingest_purchases(source.settings, store, DS)
    set_apart = {number: tuple(rest) for number, *rest in quarantined(store, manifest)}
    taken = iter(rows(store, manifest))
    verdicts = [set_apart.get(number) or next(taken) for number in range(1, manifest.source_rows + 1)]
    assert list(taken) == []
    as_json = source.execute("select row_to_json(u)::text from retail.user_purchase as u order by ctid")
    return Extraction(manifest, verdicts, [str(text) for (text,) in as_json])


@pytest.fixture(scope="module", params=["postgres_18", "postgres_15"])
def extractions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Extraction]:
    """Of ACCEPTED in a table as designed, and of `rows_of` each type of numbers; once on each server."""
    with new_database(request.getfixturevalue(request.param)) as source:
        source.execute(render_sql("postgres/schema.sql"))
        found = {"designed": extract(source, tmp_path_factory.mktemp("lake"), list(ACCEPTED.values()))}
        for kind in NUMBERS:
            source.execute("drop table retail.user_purchase;" + WIDE_TABLE.format(number=kind))
            found[kind] = extract(source, tmp_path_factory.mktemp("lake"), rows_of(kind))
    return found


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(extractions: dict[str, Extraction], case: str) -> None:
    verdict = extractions["designed"].verdicts[list(ACCEPTED).index(case)]

    assert verdict == {**EXTRACTED, **ACCEPTED[case]}


@pytest.mark.parametrize(
    ("number", "changes", "reason"),
    [pytest.param(*case, id=f"{' '.join(f'{k} {v}' for k, v in case[1].items())} in {case[0]}") for case in REJECTED],
)
def test_quarantined_with_record_number_reason_and_raw_text(
    extractions: dict[str, Extraction], number: str, changes: Mapping[str, Any], reason: str
) -> None:
    extraction, position = extractions[number], rows_of(number).index(changes)

    assert extraction.verdicts[position] == (None, reason, extraction.as_json[position])


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_may_come_as_a_wider_type(extractions: dict[str, Extraction], number: str) -> None:
    first, second, *_, last = extractions[number].verdicts

    assert first == {**EXTRACTED, "quantity": -6}
    assert second == {**EXTRACTED, "quantity": 5, "unit_price": Decimal("0.500"), "customer_id": None}
    assert last == EXTRACTED


@pytest.mark.parametrize(("number", "quantity", "price", "customer_id"), FLOATS)
def test_a_floating_point_number_keeps_all_its_digits(
    extractions: dict[str, Extraction], number: str, quantity: int, price: str, customer_id: int
) -> None:
    changes = {"quantity": str(quantity), "unit_price": price, "customer_id": str(customer_id)}

    assert extractions[number].verdicts[rows_of(number).index(changes)] == {
        **EXTRACTED, "quantity": quantity, "unit_price": Decimal(price), "customer_id": customer_id,
    }  # fmt: skip


@pytest.mark.parametrize("number", ["designed", *NUMBERS])
def test_rows_and_control_totals_are_those_of_the_rows_taken(extractions: dict[str, Extraction], number: str) -> None:
    manifest, verdicts, as_json = extractions[number]
    taken = [verdict for verdict in verdicts if isinstance(verdict, dict)]

    assert (manifest.source_rows, manifest.rows) == (len(as_json), len(taken))
    assert manifest.quarantined_rows == sum(kind == number for kind, *_ in REJECTED)
    assert manifest.control_totals == PurchaseTotals(
        sum_quantity=sum(row["quantity"] for row in taken),
        sum_amount=sum((row["quantity"] * row["unit_price"] for row in taken), Decimal(0)),
        null_customer_ids=sum(row["customer_id"] is None for row in taken),
    )


def price(text: str) -> Decimal | None:
    """The NUMERIC(8,3) that a text is in plain notation, None when it is none."""
    with localcontext(prec=100):
        try:
            value = Decimal(text)
        except InvalidOperation:
            return None
        plain = value.is_finite() and "e" not in text.lower() and not text.startswith(" ") and not text.endswith(" ")
        return value if plain and abs(value) <= Decimal("99999.999") and value * 1000 % 1 == 0 else None


@given(texts=st.lists(st.decimals().map(str) | st.text("0123456789+-.,e naN", max_size=12), max_size=30))
@example(texts=["1.", ".5", "+1", "-.5", "-0", "007.10", "99999.9990", "--1", ".", "+", "1 ", "1e2", "2.0005"])
@hypothesis_settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
def test_whatever_text_a_price_is_it_is_taken_exactly_or_quarantined(
    empty_source: SourceDatabase, store: LocalStore, texts: list[str]
) -> None:
    empty_source.execute(WIDE_TABLE.format(number="text") + "; truncate retail.user_purchase")
    empty_source.execute(
        "insert into retail.user_purchase"
        " select 'i', 's', 'd', '1', timestamp '2010-12-08', t, '1', n::text"
        " from unnest(%s::text[]) with ordinality as u (t, n)",
        texts,
    )

    manifest = ingest_purchases(empty_source.settings, store, DS)

    taken = {int(row["country"]): row["unit_price"] for row in rows(store, manifest)}
    assert taken == {number: value for number, text in enumerate(texts, 1) if (value := price(text)) is not None}
    assert manifest.quarantined_rows == len(texts) - len(taken)


def test_sums_are_exact_at_the_limits_of_the_types(empty_source: SourceDatabase, store: LocalStore) -> None:
    empty_source.execute(WIDE_TABLE.format(number="numeric"))
    most = {"quantity": 2**63 - 1, "unit_price": Decimal("99999.999")}
    insert_all(empty_source, [*[most] * 20, {"quantity": 1, "unit_price": Decimal("0.001")}])

    totals = ingest_purchases(empty_source.settings, store, DS).control_totals

    assert totals == PurchaseTotals(
        sum_quantity=20 * (2**63 - 1) + 1,
        sum_amount=Decimal("18446743889242110876904483.861"),
        null_customer_ids=0,
    )


@on_both_servers
@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("Europe/London", "2010-12-08 12:00", datetime(2010, 12, 8, 12, tzinfo=UTC)),
        ("Europe/London", "2010-07-08 12:00", datetime(2010, 7, 8, 11, tzinfo=UTC)),
        ("Asia/Kolkata", "2010-12-08 02:00", datetime(2010, 12, 7, 20, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_zone_is_read_in_the_source_time_zone(
    source: SourceDatabase, store: LocalStore, zone: str, local: str, utc: datetime
) -> None:
    insert(source, invoice_date=local)

    manifest = ingest_purchases(source.settings.model_copy(update={"source_timezone": zone}), store, DS)

    assert [row["invoice_date"] for row in rows(store, manifest)] == [utc]


@on_both_servers
def test_a_time_with_zone_is_that_instant_whatever_the_source_time_zone(
    source: SourceDatabase, store: LocalStore
) -> None:
    source.execute("alter table retail.user_purchase alter column invoice_date type timestamptz")
    insert(source, invoice_date="2010-12-08 12:00+02")

    manifest = ingest_purchases(source.settings.model_copy(update={"source_timezone": "Asia/Tokyo"}), store, DS)

    assert [row["invoice_date"] for row in rows(store, manifest)] == [datetime(2010, 12, 8, 10, tzinfo=UTC)]


@on_both_servers
def test_a_date_is_its_midnight(source: SourceDatabase, store: LocalStore) -> None:
    source.execute("alter table retail.user_purchase alter column invoice_date type date")
    insert(source, invoice_date="2010-12-08")

    manifest = ingest_purchases(source.settings, store, DS)

    assert [row["invoice_date"] for row in rows(store, manifest)] == [datetime(2010, 12, 8, tzinfo=UTC)]


@pytest.mark.parametrize("server", ["postgres_18", "postgres_15"])
def test_settings_of_the_database_and_functions_in_its_search_path_change_nothing(
    server: str, request: pytest.FixtureRequest, store: LocalStore
) -> None:
    with new_database(request.getfixturevalue(server)) as source:
        source.execute(render_sql("postgres/schema.sql"))
        source.execute("alter table retail.user_purchase alter column unit_price type double precision")
        insert(source)
        insert(source, unit_price="NaN")
        expected = ingest_purchases(source.settings, store, DS)
        name = source.settings.source_database
        source.execute(
            f"""
            create schema evil;
            create function evil.concat(text, text, json) returns text language sql as $$ select null $$;
            create function evil.trunc(numeric, integer) returns numeric language sql as $$ select 1.0 $$;
            create function evil.lt(timestamp, timestamptz) returns boolean language sql as $$ select false $$;
            create operator evil.< (leftarg = timestamp, rightarg = timestamptz, function = evil.lt);
            alter database {name} set search_path = evil, pg_catalog;
            alter database {name} set datestyle = 'SQL, DMY';
            alter database {name} set timezone = 'Asia/Tokyo';
            alter database {name} set extra_float_digits = -15;
            alter database {name} set client_encoding = 'LATIN1';
            """
        )

        found = ingest_purchases(source.settings, store, DS)

    assert rows(store, found) == rows(store, expected) == [EXTRACTED]
    assert quarantined(store, found) == quarantined(store, expected)


@pytest.mark.parametrize(
    ("lookback_days", "taken"),
    [
        (0, ["first of the day", "last of the day"]),
        (1, ["day before", "first of the day", "last of the day"]),
        (None, ["three days before", "day before", "first of the day", "last of the day"]),
    ],
)
def test_incremental_takes_whole_utc_days_up_to_the_date(
    source: SourceDatabase, store: LocalStore, lookback_days: int | None, taken: list[str]
) -> None:
    for detail, moment in {
        "four days before": "2010-12-04 23:59:59.999999",
        "three days before": "2010-12-05 00:00",
        "day before": "2010-12-07 00:00",
        "first of the day": "2010-12-08 00:00",
        "last of the day": "2010-12-08 23:59:59.999999",
        "next day": "2010-12-09 00:00",
    }.items():
        insert(source, detail=detail, invoice_date=moment)

    manifest = ingest_purchases(source.settings, store, DS, mode="incremental", lookback_days=lookback_days)

    assert [row["detail"] for row in rows(store, manifest)] == taken
    days = 3 if lookback_days is None else lookback_days
    assert manifest.window == (datetime(2010, 12, 8 - days, tzinfo=UTC), datetime(2010, 12, 9, tzinfo=UTC))
    assert (manifest.mode, manifest.source_rows) == ("incremental", len(taken))


@on_both_servers
def test_an_incremental_window_is_of_utc_days_in_another_source_time_zone(
    source: SourceDatabase, store: LocalStore
) -> None:
    insert(source, detail="already the 8th in Tokyo, still the 7th in UTC", invoice_date="2010-12-08 08:59:59")
    insert(source, detail="the 8th", invoice_date="2010-12-08 09:00")

    manifest = ingest_purchases(
        source.settings.model_copy(update={"source_timezone": "Asia/Tokyo"}),
        store, DS, mode="incremental", lookback_days=0,
    )  # fmt: skip

    assert [row["detail"] for row in rows(store, manifest)] == ["the 8th"]


@pytest.mark.parametrize(
    ("ds", "lookback_days"), [(date(1, 1, 3), 3), (date(9999, 12, 31), 0), (DS, 10**9), (DS, 10**12)]
)
def test_a_window_outside_the_calendar_is_an_error_that_names_date_and_setting(
    store: LocalStore, ds: date, lookback_days: int
) -> None:
    with pytest.raises(SettingsError, match=f"^{ds} with LOOKBACK_DAYS {lookback_days} needs days outside the years"):
        ingest_purchases(load_settings(), store, ds, mode="incremental", lookback_days=lookback_days)


@on_both_servers
def test_an_incremental_window_is_read_through_the_index(source: SourceDatabase, store: LocalStore) -> None:
    source.execute(
        "insert into retail.user_purchase select 'i', 's', 'd', 1, timestamp '2000-01-01' + n * interval '1 hour',"
        " 1, 1, 'c' from generate_series(1, 100000) as n"
    )
    source.execute("analyze retail.user_purchase")
    statement = render_sql(
        "postgres/extract_user_purchase.sql",
        quantity_type="integer", unit_price_type="numeric", customer_id_type="bigint",
        window_start="2010-12-05T00:00:00+00:00", window_end="2010-12-09T00:00:00+00:00",
    )  # fmt: skip

    plan = "\n".join(str(line) for (line,) in source.execute(f"explain {statement}"))

    assert "Index Scan using user_purchase_invoice_date" in plan


def test_an_empty_table_gives_no_part(source: SourceDatabase, lake: Store) -> None:
    manifest = ingest_purchases(source.settings, lake, DS)

    assert (manifest.files, manifest.source_rows) == ([], 0)
    assert manifest.control_totals == PurchaseTotals(sum_quantity=0, sum_amount=Decimal(0), null_customer_ids=0)


@on_both_servers
def test_a_role_with_only_the_reader_s_rights_can_extract(source: SourceDatabase, store: LocalStore) -> None:
    insert(source)
    role = f"reader_{uuid.uuid4().hex}"
    source.execute(f"create role {role} login password 'secret'")
    settings = source.settings.model_copy(update={"source_user": role, "source_password": SecretStr("secret")})
    try:
        with pytest.raises(SourceError, match=f"{role} lacks a right on .*permission denied for schema retail"):
            ingest_purchases(settings, store, DS)
        source.execute(render_sql("postgres/reader.sql", reader=role))
        assert rows(store, ingest_purchases(settings, store, DS)) == [EXTRACTED]
    finally:
        source.execute(f"drop owned by {role}; drop role {role}")


@on_both_servers
def test_rows_hidden_by_a_policy_are_an_error_not_left_out(source: SourceDatabase, store: LocalStore) -> None:
    insert(source)
    role = f"reader_{uuid.uuid4().hex}"
    source.execute(f"create role {role} login password 'secret'")
    source.execute(render_sql("postgres/reader.sql", reader=role))
    source.execute("alter table retail.user_purchase enable row level security")
    settings = source.settings.model_copy(update={"source_user": role, "source_password": SecretStr("secret")})
    try:
        with pytest.raises(SourceError, match="row-level security policy"):
            ingest_purchases(settings, store, DS)
    finally:
        source.execute(f"drop owned by {role}; drop role {role}")


def refuse(settings: Settings, store: Store, kind: type[Exception], message: str) -> str:
    """Ingestion fails as told and leaves no manifest; the message is given back."""
    with pytest.raises(kind, match=message) as error:
        ingest_purchases(settings, store, DS)
    with pytest.raises(ManifestMissing):
        read_raw_manifest(store, "user_purchase", DS)
    return str(error.value)


@on_both_servers
def test_a_missing_table_or_schema_is_named(empty_source: SourceDatabase, store: LocalStore) -> None:
    message = rf"database {empty_source.settings.source_database} at 127.0.0.1:\d+ has no table retail.user_purchase"
    refuse(empty_source.settings, store, SourceError, message)

    empty_source.execute("create schema retail")
    refuse(empty_source.settings, store, SourceError, message)


@on_both_servers
def test_a_missing_column_is_named(source: SourceDatabase, store: LocalStore) -> None:
    source.execute("alter table retail.user_purchase drop column detail, drop column country")

    refuse(source.settings, store, InputError, r"retail.user_purchase of .* has no column detail, country")


@on_both_servers
@pytest.mark.parametrize(
    ("column", "kind"), [("invoice_date", "text"), ("quantity", "boolean"), ("unit_price", "json")]
)
def test_a_column_of_a_type_without_meaning_is_named(
    empty_source: SourceDatabase, store: LocalStore, column: str, kind: str
) -> None:
    empty_source.execute(WIDE_TABLE.format(number="numeric"))
    empty_source.execute(
        f"alter table retail.user_purchase drop column {column}; alter table retail.user_purchase add {column} {kind}"
    )

    refuse(empty_source.settings, store, InputError, f"column {column} is {kind}; it must be one of ")


@pytest.mark.parametrize("server", ["postgres_18", "postgres_15"])
def test_a_text_that_is_not_utf_8_is_an_error(server: str, request: pytest.FixtureRequest, store: LocalStore) -> None:
    with new_database(request.getfixturevalue(server), "template template0 encoding 'SQL_ASCII'") as source:
        source.execute(render_sql("postgres/schema.sql"))
        insert(source)
        source.execute(r"set client_encoding = 'SQL_ASCII'; update retail.user_purchase set detail = E'\xff'")

        refuse(source.settings, store, InputError, 'at .*: invalid byte sequence for encoding "UTF8": 0xff')


@on_both_servers
def test_a_wrong_password_is_an_error_at_once_that_does_not_show_it(source: SourceDatabase, store: LocalStore) -> None:
    settings = source.settings.model_copy(
        update={"source_password": SecretStr("wrong-secret"), "connect_timeout_seconds": 60}
    )
    began = time.monotonic()

    message = refuse(
        settings, store, SourceError, r"127.0.0.1:\d+ refused .*password authentication failed.*SOURCE_PASS"
    )

    assert "wrong-secret" not in message
    assert time.monotonic() - began < 30


def test_a_missing_password_is_an_error_at_once(source: SourceDatabase, store: LocalStore) -> None:
    settings = source.settings.model_copy(update={"source_password": None, "connect_timeout_seconds": 60})
    began = time.monotonic()

    refuse(settings, store, SourceError, r"127.0.0.1:\d+ refused .*no password supplied; check .*SOURCE_PASSWORD")

    assert time.monotonic() - began < 30


def test_a_missing_database_is_an_error_at_once(source: SourceDatabase, store: LocalStore) -> None:
    settings = source.settings.model_copy(update={"source_database": "nowhere"})

    refuse(settings, store, SourceError, 'database "nowhere" does not exist')


def test_a_server_that_never_answers_is_an_error_after_the_stated_time(store: LocalStore) -> None:
    settings = load_settings().model_copy(
        update={
            "source_host": "127.0.0.1",
            "source_port": free_port(),
            "source_password": SecretStr("a-secret"),
            "connect_timeout_seconds": 0.5,
        }
    )

    message = refuse(
        settings, store, Unreachable, f"Postgres at 127.0.0.1:{settings.source_port} did not answer within"
    )

    assert "a-secret" not in message


def test_a_source_that_is_not_configured_is_an_error_that_names_the_setting(store: LocalStore) -> None:
    refuse(load_settings().model_copy(update={"source_host": None}), store, SettingsError, "SOURCE_HOST is not set")


@pytest.fixture
def large_source(source: SourceDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceDatabase]:
    """A table of more than fits in the buffers between server and client, extracted in small parts."""
    monkeypatch.setattr(parts, "PART_ROWS", 1000)
    monkeypatch.setattr(purchases, "BLOCK_BYTES", 100_000)
    source.execute(
        "insert into retail.user_purchase select 'i' || n, 's', repeat('x', 1000), 1, timestamp '2010-12-08', 1, 1, 'c'"
        " from generate_series(1, 30000) as n"
    )
    yield source
    deadline = time.monotonic() + 30
    while True:  # a server whose backend was killed restarts
        try:
            source.execute("select 1")
        except Exception:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            break


def extracting_backend(source: SourceDatabase) -> int:
    ((pid,),) = source.execute(
        "select pid from pg_stat_activity"
        " where application_name = 'user-analytics' and datname = %s and state = 'active' and query like 'COPY%%'",
        source.settings.source_database,
    )
    return cast("int", pid)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda source, pid: os.kill(pid, signal.SIGKILL), id="its process killed"),
        pytest.param(lambda source, pid: source.execute("select pg_terminate_backend(%s)", pid), id="terminated"),
    ],
)
def test_postgres_dying_in_the_middle_is_an_error_and_shows_nothing(
    large_source: SourceDatabase, store: LocalStore, end: Callable[[SourceDatabase, int], object]
) -> None:
    dying = Intercepted(store, lambda: end(large_source, extracting_backend(large_source)))

    refuse(
        large_source.settings, cast("Store", dying), Unreachable,
        r"database test_\w+ at 127.0.0.1:\d+ closed the connection .*: nothing was changed, run it again",
    )  # fmt: skip

    assert len(list(store.list("raw/"))) > 0


def test_a_store_that_becomes_full_in_the_middle_is_an_error_and_shows_nothing(
    large_source: SourceDatabase, store: LocalStore
) -> None:
    def full() -> None:
        raise LakeError("no space left")

    refuse(large_source.settings, cast("Store", Intercepted(store, full)), LakeError, "^no space left$")


def test_rows_changed_meanwhile_are_read_as_they_were(large_source: SourceDatabase, store: LocalStore) -> None:
    changing = Intercepted(
        store, lambda: large_source.execute("update retail.user_purchase set quantity = 1000, unit_price = 1000")
    )

    manifest = ingest_purchases(large_source.settings, cast("Store", changing), DS)

    assert manifest.control_totals == PurchaseTotals(
        sum_quantity=30_000, sum_amount=Decimal(30_000), null_customer_ids=0
    )
    assert len(manifest.files) > 10


def test_a_table_being_replaced_is_read_as_it_is_afterwards(source: SourceDatabase, store: LocalStore) -> None:
    insert(source, detail="before")
    loader = source.server.connect(source.settings.source_database)
    manifests: list[RawManifest] = []
    extract = threading.Thread(target=lambda: manifests.append(ingest_purchases(source.settings, store, DS)))
    try:
        with loader, loader.cursor() as cursor:
            cursor.execute("truncate retail.user_purchase")
            cursor.execute(
                "insert into retail.user_purchase values ('1', '1', 'after', 1, timestamp '2010-12-08', 1, 1, 'c')"
            )
            extract.start()
            deadline = time.monotonic() + 60
            while not source.execute("select 1 from pg_locks where not granted"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        loader.close()
    extract.join()

    assert [row["detail"] for row in rows(store, manifests[0])] == ["after"]


def test_a_table_that_stays_locked_is_an_error_after_the_stated_time(source: SourceDatabase, store: LocalStore) -> None:
    holder = source.server.connect(source.settings.source_database)
    try:
        with holder, holder.cursor() as cursor:
            cursor.execute("lock table retail.user_purchase in access exclusive mode")
            refuse(
                source.settings.model_copy(update={"connect_timeout_seconds": 1}),
                store, SourceError, "retail.user_purchase of .* is locked by another session",
            )  # fmt: skip
    finally:
        holder.close()


def test_memory_does_not_grow_with_the_table(postgres_18: PostgresServer, tmp_path: Path) -> None:
    peaks = []
    # Hashes, since text that compresses well would take no memory as Parquet either.
    detail = " || ".join(f"sha512((n || '{letter}')::bytea)" for letter in "abcdefghij")
    for thousands in (10, 30):
        with new_database(postgres_18) as source:
            source.execute(
                "create schema retail;"
                "create view retail.user_purchase as select 'i' || n as invoice_number, 's' || n as stock_code,"
                f" encode({detail}, 'base64') as detail, n as quantity, timestamp '2010-12-08' as invoice_date,"
                " n % 100000 / 1000.0 as unit_price, n as customer_id, 'c' as country"
                f" from generate_series(1, {thousands}000) as n"
            )
            peaks.append(
                peak_megabytes(
                    "from user_analytics.ingest import parts, purchases\n"
                    "parts.PART_ROWS = 5_000\n"
                    "purchases.ingest_purchases(settings, store, date(2010, 12, 8))\n",
                    source.settings.model_copy(update={"lake_url": str(tmp_path / str(thousands))}),
                )
            )
        store = LocalStore(tmp_path / str(thousands))
        totals = read_raw_manifest(store, "user_purchase", DS).manifest.control_totals
        assert isinstance(totals, PurchaseTotals)
        n = thousands * 1000
        assert totals.sum_quantity == n * (n + 1) // 2
        assert totals.sum_amount == Decimal(sum(number * (number % 100_000) for number in range(1, n + 1))).scaleb(-3)

    assert peaks[1] < 300
    assert peaks[1] < peaks[0] + 10
