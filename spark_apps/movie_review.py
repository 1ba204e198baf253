"""Stage the reviews of a date with their sentiment: raw files → columns of movie_review → staging table."""

import argparse
import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql.functions import lit

from user_analytics.lake.manifest import read_raw_manifest
from user_analytics.lake.store import open_store
from user_analytics.sentiment.model import load_model
from user_analytics.settings import Settings
from user_analytics.spark.application import argument_parser, run
from user_analytics.spark.raw import read_raw
from user_analytics.spark.sentiment import with_sentiment
from user_analytics.spark.session import spark_session
from user_analytics.spark.staging import stage


def main(options: argparse.Namespace, settings: Settings) -> None:
    """Read, transform, write."""
    store = open_store(settings)
    raw = read_raw_manifest(store, "movie_review", options.ds)
    model_version = load_model(options.model_version, store).version
    with spark_session("movie_review") as spark:
        reviews = read_raw(spark, raw.manifest)
        judged = transform(reviews, model_version, options.ds)
        stage(judged, raw, settings, store, model_version=model_version)


def transform(reviews: DataFrame, model_version: str, ds: date) -> DataFrame:
    """Raw reviews with their sentiment and `logical_date` DATE: the columns of movie_review."""
    return with_sentiment(reviews, model_version).withColumn("logical_date", lit(ds))


if __name__ == "__main__":
    parser = argument_parser(__doc__)
    parser.add_argument("--model-version", metavar="VERSION", help="a model in the lake (default: the packaged one)")
    sys.exit(run(main, parser))
