"""Staging through the BigQuery connector: each value as it was, each row once, the manifest last."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_apps import movie_review, user_purchase
from tests.fixtures.spark import DS, purchase, review, write_raw
from user_analytics.errors import ManifestMissing, Unreachable, WarehouseError
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import RawManifest, Read, read_staging_manifest
from user_analytics.sentiment.model import load_model
from user_analytics.settings import Settings
from user_analytics.spark.application import explained
from user_analytics.spark.raw import read_raw
from user_analytics.spark.staging import stage
from user_analytics.warehouse.client import Warehouse

# pyspark leaves it to the garbage collector to close the socket by which it fetches large rows
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

PURCHASES = [
    purchase("1"),
    purchase("2", detail='Łódź, 東京, 😀, "quoted", line\nfeed, tab\t, NUL-free', country="Österreich"),
    purchase("3", customer_id=None, detail=None, country=None, quantity=-12),
    purchase("4", detail="", country="", quantity=0, unit_price=Decimal("0.000")),
    purchase("5", unit_price=Decimal("99999.999"), quantity=2**63 - 1, customer_id=2**63 - 1),
    purchase("6", unit_price=Decimal("-99999.999"), quantity=-(2**63)),
    purchase("7", unit_price=Decimal("0.001"), invoice_date=datetime(2010, 12, 8, 23, 59, 59, 999_999, tzinfo=UTC)),
    purchase("8", invoice_date=datetime(1960, 1, 1, tzinfo=UTC)),
    purchase("9", invoice_date=datetime(2159, 12, 31, 23, 59, 59, 1, tzinfo=UTC)),
    purchase("9", invoice_date=datetime(2159, 12, 31, 23, 59, 59, 1, tzinfo=UTC)),
]


def staged_rows(warehouse: Warehouse, table: str, columns: Iterable[str]) -> list[dict[str, Any]]:
    found = warehouse.rows(f"select {', '.join(columns)} from `{warehouse.staging_table_id(table)}` order by 1")
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def stage_purchases(rows: DataFrame, raw: Read[RawManifest], warehouse: Warehouse, store: LocalStore) -> str:
    with explained():
        return stage(user_purchase.transform(rows, DS), raw, warehouse.settings, store).staging_table


def test_purchases_are_staged_exactly_as_they_are_in_the_raw_files(
    spark: SparkSession, spark_lake: LocalStore, warehouse: Warehouse, store: LocalStore
) -> None:
    raw = write_raw(spark_lake, "user_purchase", [PURCHASES[:4], PURCHASES[4:9], PURCHASES[9:]])
    table = stage_purchases(read_raw(spark, raw.manifest), raw, warehouse, store)
    expected = [{**row, "logical_date": DS} for row in PURCHASES]
    assert staged_rows(warehouse, table, expected[0]) == expected


def test_reviews_are_staged_exactly_as_they_are_in_the_raw_files(
    spark: SparkSession, spark_lake: LocalStore, warehouse: Warehouse, store: LocalStore
) -> None:
    texts = ['Great!<br />\r\n"Really", 東京 😀\x01', " ", "A wonderful film. " * 600_000]
    assert len(texts[-1]) > 10 << 20
    rows = [review(number, text, cid=2**63 - number) for number, text in enumerate(texts, start=1)]
    raw = write_raw(spark_lake, "movie_review", [rows[:2], rows[2:]])
    version = load_model().version
    judged = movie_review.transform(read_raw(spark, raw.manifest), version, DS)
    with explained():
        staged = stage(judged, raw, warehouse.settings, store, model_version=version)
    found = staged_rows(warehouse, staged.staging_table, [*rows[0], "positive_review", "model_version"])
    verdicts = [True, None, True]
    assert found == [
        {**row, "positive_review": verdict, "model_version": version}
        for row, verdict in zip(rows, verdicts, strict=True)
    ]


def test_the_staging_manifest_names_the_table_and_the_raw_data_it_was_made_from(
    spark: SparkSession, spark_lake: LocalStore, warehouse: Warehouse, store: LocalStore
) -> None:
    raw = write_raw(spark_lake, "user_purchase", [PURCHASES])
    table = stage_purchases(read_raw(spark, raw.manifest), raw, warehouse, store)
    manifest = read_staging_manifest(store, "user_purchase", DS).manifest
    assert table == manifest.staging_table == f"user_purchase__20101208__{manifest.attempt.hex}"
    assert (manifest.raw_digest, manifest.rows, manifest.model_version) == (raw.digest, len(PURCHASES), None)


def test_a_date_without_rows_is_staged_as_an_empty_table(
    spark: SparkSession, spark_lake: LocalStore, warehouse: Warehouse, store: LocalStore
) -> None:
    raw = write_raw(spark_lake, "user_purchase", [])
    table = stage_purchases(read_raw(spark, raw.manifest), raw, warehouse, store)
    assert staged_rows(warehouse, table, ["invoice_number"]) == []
    assert read_staging_manifest(store, "user_purchase", DS).manifest.rows == 0


def test_a_table_with_other_than_the_manifests_rows_is_refused_and_gets_no_manifest(
    spark: SparkSession, spark_lake: LocalStore, warehouse: Warehouse, store: LocalStore
) -> None:
    raw = write_raw(spark_lake, "user_purchase", [PURCHASES])
    one_short = read_raw(spark, raw.manifest).filter("invoice_number != '1'")
    with pytest.raises(WarehouseError, match="holds 9 rows, its raw manifest says 10"):
        stage_purchases(one_short, raw, warehouse, store)
    with pytest.raises(ManifestMissing):
        read_staging_manifest(store, "user_purchase", DS)


def test_a_storage_api_that_does_not_answer_is_named(
    spark: SparkSession, spark_lake: LocalStore, warehouse_settings: Settings, store: LocalStore
) -> None:
    raw = write_raw(spark_lake, "user_purchase", [PURCHASES])
    nowhere = warehouse_settings.model_copy(
        update={"bigquery_grpc_endpoint": "127.0.0.1:1", "connect_timeout_seconds": 1}
    )
    with pytest.raises(Unreachable, match=r"BigQuery Storage API at 127\.0\.0\.1:1 did not answer within 1 s"):
        stage(user_purchase.transform(read_raw(spark, raw.manifest), DS), raw, nowhere, store)
