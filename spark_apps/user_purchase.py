"""Stage the purchases of a date: raw files → columns of user_purchase → staging table."""

import argparse
import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql.functions import lit

from user_analytics.lake.manifest import read_raw_manifest
from user_analytics.lake.store import open_store
from user_analytics.settings import Settings
from user_analytics.spark.application import argument_parser, run
from user_analytics.spark.raw import read_raw
from user_analytics.spark.session import spark_session
from user_analytics.spark.staging import stage


def main(options: argparse.Namespace, settings: Settings) -> None:
    """Read, transform, write."""
    store = open_store(settings)
    raw = read_raw_manifest(store, "user_purchase", options.ds)
    with spark_session("user_purchase") as spark:
        purchases = transform(read_raw(spark, raw.manifest), options.ds)
        stage(purchases, raw, settings, store)


def transform(purchases: DataFrame, ds: date) -> DataFrame:
    """Raw purchases with `logical_date` DATE: the columns of user_purchase."""
    return purchases.withColumn("logical_date", lit(ds))


if __name__ == "__main__":
    sys.exit(run(main, argument_parser(__doc__)))
