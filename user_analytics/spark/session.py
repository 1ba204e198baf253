"""The Spark session of an application: what has to hold wherever it runs.

Everything that depends on where it runs (master, sizes, jars) comes from `spark-submit`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

CONFIGURATION = {
    # invoice_date is an instant in UTC, whatever zone the machines are set to
    "spark.sql.session.timeZone": "UTC",
    # a second copy of a task would write every row of its part once more, only to be thrown away
    "spark.speculation": "false",
    "spark.python.daemon.module": "user_analytics.spark.python_daemon",
}


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """A session that is stopped whatever happens: a driver with a live session never ends."""
    builder = SparkSession.builder.appName(name)
    for key, value in CONFIGURATION.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
