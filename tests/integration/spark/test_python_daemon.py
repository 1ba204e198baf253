"""The Python workers of an application."""

import sys
from collections.abc import Iterable, Iterator
from zipimport import zipimporter

import pyarrow as pa
from pyspark.sql import SparkSession

from tests.fixtures.spark import collect


def archives_on_the_path(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    list(batches)
    found = [path for path, importer in sys.path_importer_cache.items() if isinstance(importer, zipimporter)]
    yield pa.RecordBatch.from_pydict({"path": found})


def test_workers_import_from_no_archive_whose_files_they_would_list_before_each_task(spark: SparkSession) -> None:
    assert collect(spark.range(1).mapInArrow(archives_on_the_path, "path string")) == []
