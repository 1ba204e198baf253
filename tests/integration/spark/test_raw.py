"""Raw data: Spark reads what the manifest names, and nothing else, and nothing that was changed."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.functions import count, spark_partition_id

from tests.fixtures.spark import DS, collect, purchase, put_file, review, write_raw
from user_analytics.errors import CorruptObject, LakeError
from user_analytics.lake import keys
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import RawManifest, Table
from user_analytics.spark.application import explained
from user_analytics.spark.raw import read_raw


def review_ids(spark: SparkSession, manifest: RawManifest) -> list[int]:
    with explained():
        return sorted(row["review_id"] for row in collect(read_raw(spark, manifest)))


def test_exactly_the_files_that_the_manifest_names_are_read(spark: SparkSession, spark_lake: LocalStore) -> None:
    left_by_another_attempt = write_raw(spark_lake, "movie_review", [[review(7), review(8)]]).manifest
    manifest = write_raw(spark_lake, "movie_review", [[review(1), review(2)], [review(3)]]).manifest
    assert left_by_another_attempt.files[0].key.startswith(keys.raw_prefix("movie_review", DS))
    assert review_ids(spark, manifest) == [1, 2, 3]


def test_each_file_is_a_task_of_its_own(spark: SparkSession, spark_lake: LocalStore) -> None:
    manifest = write_raw(spark_lake, "movie_review", [[review(1), review(2)], [review(3)], [review(4)]]).manifest
    tasks = read_raw(spark, manifest).groupBy(spark_partition_id().alias("task")).agg(count("*").alias("rows"))
    assert sorted(row["rows"] for row in collect(tasks)) == [1, 1, 2]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("movie_review", "review_id:bigint,cid:bigint,review_str:string"),
        (
            "user_purchase",
            (
                "invoice_number:string,stock_code:string,detail:string,quantity:bigint,invoice_date:timestamp,"
                "unit_price:decimal(8,3),customer_id:bigint,country:string"
            ),
        ),
    ],
)
def test_columns_have_spark_s_types_for_those_that_ingestion_writes(
    spark: SparkSession, spark_lake: LocalStore, table: Table, columns: str
) -> None:
    rows = read_raw(spark, write_raw(spark_lake, table, []).manifest)
    assert rows.schema.simpleString() == f"struct<{columns}>"


def test_a_manifest_without_files_is_a_table_without_rows(spark: SparkSession, spark_lake: LocalStore) -> None:
    purchases = read_raw(spark, write_raw(spark_lake, "user_purchase", []).manifest)
    assert purchases.columns == list(purchase())
    assert collect(purchases) == []


def test_a_truncated_file_is_refused_by_name(spark: SparkSession, spark_lake: LocalStore) -> None:
    manifest = write_raw(spark_lake, "movie_review", [[review(1)], [review(2)]]).manifest
    key = manifest.files[1].key
    spark_lake.put(key, (spark_lake.get(key) or b"")[:-1])
    with pytest.raises(CorruptObject, match=f"{key} was truncated"):
        review_ids(spark, manifest)


def test_a_file_with_one_changed_bit_is_refused_by_name(spark: SparkSession, spark_lake: LocalStore) -> None:
    manifest = write_raw(spark_lake, "movie_review", [[review(1)]]).manifest
    key = manifest.files[0].key
    body = bytearray(spark_lake.get(key) or b"")
    body[len(body) // 2] ^= 1
    spark_lake.put(key, bytes(body))
    with pytest.raises(CorruptObject, match=f"{key} was truncated or altered: its SHA-256 is"):
        review_ids(spark, manifest)


def test_a_missing_file_is_refused_by_name(spark: SparkSession, spark_lake: LocalStore) -> None:
    manifest = write_raw(spark_lake, "movie_review", [[review(1)]]).manifest
    spark_lake.delete(manifest.files[0].key)
    with pytest.raises(LakeError, match=manifest.files[0].key):
        review_ids(spark, manifest)


def test_a_file_that_is_no_parquet_is_refused_by_name(spark: SparkSession, spark_lake: LocalStore) -> None:
    manifest = write_raw(spark_lake, "movie_review", [[review(1)]]).manifest
    text = put_file(spark_lake, f"{keys.raw_prefix('movie_review', DS)}notes.parquet", b"not Parquet at all", 1)
    with pytest.raises(CorruptObject, match=r"notes\.parquet is not a Parquet file"):
        review_ids(spark, manifest.model_copy(update={"files": [text]}))
