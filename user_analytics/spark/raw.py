"""Reading the raw data of a date into Spark: exactly the files its manifest names, each checked by its task.

Spark's own Parquet reader would list folders and trust what it finds there. Here a task takes one file
through the lake's store, so that the same code reads a local directory and S3, and decodes nothing
whose SHA-256 differs.
"""

from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from user_analytics.errors import CorruptObject
from user_analytics.lake.manifest import DataFile, RawManifest
from user_analytics.lake.schemas import RAW_SCHEMAS
from user_analytics.lake.store import open_store
from user_analytics.lake.verified import read_verified
from user_analytics.settings import load_settings

BATCH_ROWS = 10_000


def read_raw(spark: SparkSession, manifest: RawManifest) -> DataFrame:
    """The rows of a raw manifest, one partition for each of its files; columns as in RAW_SCHEMAS.

    While it runs, tasks raise CorruptObject for a file that differs from the manifest and LakeError for
    one that is missing. They take their settings from the environment.
    """
    # One row for each file, and each in a partition of its own.
    numbers = spark.range(0, len(manifest.files), 1, numPartitions=max(1, len(manifest.files)))
    return numbers.mapInArrow(partial(_rows, manifest.files), from_arrow_schema(RAW_SCHEMAS[manifest.table]))


def _rows(files: list[DataFile], numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    store = open_store(load_settings())
    for number in (value for batch in numbers for value in batch.column(0).to_pylist()):
        body = read_verified(store, files[number])
        try:
            yield from pq.ParquetFile(pa.BufferReader(body)).iter_batches(BATCH_ROWS)
        except pa.ArrowInvalid as error:
            raise CorruptObject(f"{store.url}/{files[number].key} is not a Parquet file: {error}") from error
