"""Scoring a file of reviews outside the pipeline."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from user_analytics.errors import InputError
from user_analytics.sentiment.model import Model
from user_analytics.sentiment.review_files import TEXT_COLUMN, create_reviews, open_reviews
from user_analytics.sentiment.score import is_positive, score

_ADDED = (pa.field("positive_probability", pa.float64()), pa.field("positive_review", pa.bool_()))


class Scored(NamedTuple):
    """Counts of rows: all, those judged positive, and those with nothing to judge."""

    rows: int
    positive_rows: int
    unjudged_rows: int


def score_file(model: Model, reviews: Path, output: Path) -> Scored:
    """Copy a CSV or Parquet file with the column `review_str`, adding two columns to each row.

    `positive_probability` and `positive_review` are empty where there is nothing to judge. Each name's ending
    says what the file is. Rows keep their order; memory does not grow with the file; `output` appears
    when it is whole. Raises InputError when `reviews` cannot be taken, UserAnalyticsError when
    `output` cannot be written.
    """
    scored = Scored(0, 0, 0)
    with open_reviews(reviews) as source:
        taken = [field.name for field in _ADDED if field.name in source.schema.names]
        if taken:
            raise InputError(f"{reviews} already has the column {', '.join(taken)}: drop or rename it first")
        schema = pa.schema([*source.schema, *_ADDED])
        with create_reviews(output, schema) as destination:
            for batch in source.batches:
                probabilities = score(model, batch[TEXT_COLUMN])
                positive = is_positive(probabilities)
                destination.write_batch(pa.record_batch([*batch.columns, probabilities, positive], schema=schema))
                scored = Scored(
                    scored.rows + batch.num_rows,
                    scored.positive_rows + (pc.sum(positive).as_py() or 0),
                    scored.unjudged_rows + probabilities.null_count,
                )
    return scored
