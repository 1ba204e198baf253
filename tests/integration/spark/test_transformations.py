"""What each application makes of its raw rows."""

from datetime import date

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from spark_apps import movie_review, user_purchase
from tests.fixtures.spark import DS, collect, purchase
from user_analytics.lake.schemas import RAW_SCHEMAS
from user_analytics.sentiment.model import load_model
from user_analytics.sentiment.score import score

TEXTS = ["A wonderful film, the best of the year.", "Dull, boring, a waste of time.", "😀 это", "", None]


def test_reviews_get_the_probabilities_that_the_model_gives(spark: SparkSession) -> None:
    model = load_model()
    reviews = spark.createDataFrame(
        [(number, 17850, text) for number, text in enumerate(TEXTS)], "review_id bigint, cid bigint, review_str string"
    )
    rows = collect(movie_review.transform(reviews, model.version, DS).orderBy("review_id"))
    assert [row["positive_probability"] for row in rows] == score(model, pa.array(TEXTS)).to_pylist()
    assert [row["positive_review"] for row in rows] == [True, False, None, None, None]
    assert {(row["model_version"], row["logical_date"]) for row in rows} == {(model.version, DS)}


def test_reviews_keep_their_columns_and_get_those_of_the_table(spark: SparkSession) -> None:
    reviews = spark.createDataFrame([], from_arrow_schema(RAW_SCHEMAS["movie_review"]))
    judged = movie_review.transform(reviews, load_model().version, DS)
    assert dict(judged.dtypes) == {
        "review_id": "bigint",
        "cid": "bigint",
        "review_str": "string",
        "positive_review": "boolean",
        "positive_probability": "double",
        "model_version": "string",
        "logical_date": "date",
    }


def test_purchases_get_the_logical_date_and_keep_all_else(spark: SparkSession) -> None:
    raw = purchase(customer_id=None)
    purchases = spark.createDataFrame([tuple(raw.values())], from_arrow_schema(RAW_SCHEMAS["user_purchase"]))
    [row] = collect(user_purchase.transform(purchases, date(2010, 12, 9)))
    assert row.asDict() == {
        **raw,
        "invoice_date": raw["invoice_date"].astimezone().replace(tzinfo=None),  # pyspark hands out local time
        "logical_date": date(2010, 12, 9),
    }
