"""Judging reviews in Spark: the model is loaded once in each Python worker."""

import gc
from collections.abc import Iterable, Iterator
from functools import cache, partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.functions import lit
from pyspark.sql.types import BooleanType, DoubleType, StructType

from user_analytics.lake.store import open_store
from user_analytics.sentiment.model import Model, load_model
from user_analytics.sentiment.score import is_positive, score
from user_analytics.settings import load_settings


def with_sentiment(reviews: DataFrame, model_version: str) -> DataFrame:
    """`reviews` with the model's judgement of `review_str`.

    Adds `positive_review` BOOLEAN and `positive_probability` DOUBLE, both NULL where there is nothing
    to judge, and `model_version` STRING.
    """
    schema = (
        StructType([*reviews.schema]).add("positive_review", BooleanType()).add("positive_probability", DoubleType())
    )
    # The version is the same in every row: the JVM adds it faster than it could take it from Python.
    return reviews.mapInArrow(partial(_judged, model_version), schema).withColumn("model_version", lit(model_version))


def _judged(model_version: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    model = _model(model_version)
    for batch in batches:
        probabilities = score(model, batch["review_str"])
        yield batch.append_column("positive_review", is_positive(probabilities)).append_column(
            "positive_probability", probabilities
        )


@cache
def _model(version: str) -> Model:
    model = load_model(version, open_store(load_settings()))
    # Spark collects garbage in its workers after every task; what is loaded once need not be looked through each time.
    gc.freeze()
    return model
