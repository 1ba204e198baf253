"""Judging reviews in Spark: the model is loaded once in each Python worker."""

from collections.abc import Iterable, Iterator
from functools import cache, partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import BooleanType, DoubleType, StringType, StructType

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
        StructType([*reviews.schema])
        .add("positive_review", BooleanType())
        .add("positive_probability", DoubleType())
        .add("model_version", StringType())
    )
    return reviews.mapInArrow(partial(_judged, model_version), schema)


def _judged(model_version: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    model = _model(model_version)
    for batch in batches:
        probabilities = score(model, batch["review_str"])
        yield (
            batch.append_column("positive_review", is_positive(probabilities))
            .append_column("positive_probability", probabilities)
            .append_column("model_version", pa.repeat(model.version, batch.num_rows))
        )


@cache
def _model(version: str) -> Model:
    return load_model(version, open_store(load_settings()))
