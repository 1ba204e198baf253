"""Scoring reviews outside the pipeline: those of a file, or the lines of a stream as they come."""

from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from user_analytics.errors import InputError
from user_analytics.sentiment.explain import deciding_ngrams
from user_analytics.sentiment.model import Model
from user_analytics.sentiment.review_files import (
    TEXT_COLUMN,
    ReviewFile,
    ReviewWriter,
    create_reviews,
    open_reviews,
    read_lines,
)
from user_analytics.sentiment.score import is_positive, score

_JUDGEMENT = (pa.field("positive_probability", pa.float64()), pa.field("positive_review", pa.bool_()))
_EXPLANATION = pa.field("deciding_ngrams", pa.string())


class Scored(NamedTuple):
    """Counts of rows: all, those judged positive, and those with nothing to judge."""

    rows: int
    positive_rows: int
    unjudged_rows: int


def score_file(model: Model, reviews: Path, output: Path, *, explain: bool = False) -> Scored:
    """Copy a CSV or Parquet file with the column `review_str`, adding columns to each row.

    `positive_probability` and `positive_review`, and with `explain` also `deciding_ngrams` (as explain.py words
    them, and found in plain Python, which takes its time), are empty where there is nothing to judge.
    Each name's ending says what the file is. Rows keep their order; memory does not grow with the
    file; `output` appears when it is whole. Raises InputError when `reviews` cannot be taken,
    UserAnalyticsError when `output` cannot be written.
    """
    with open_reviews(reviews) as source:
        schema = _with_added(source.schema, explain=explain)
        taken = [name for name in schema.names[len(source.schema) :] if name in source.schema.names]
        if taken:
            raise InputError(f"{reviews} already has the column {', '.join(taken)}: drop or rename it first")
        with create_reviews(output, schema) as destination:
            return _copy(model, source, destination, schema, explain=explain)


def score_lines(
    model: Model, lines: BufferedIOBase, name: str, output: Path | BinaryIO, *, explain: bool = False
) -> Scored:
    """Score a stream of UTF-8 lines, each a review, also an empty one, into `review_str` and the columns above.

    An `output` that is a stream gets CSV, each row as soon as its line has come. Raises InputError, naming
    the stream by `name`, for a line that is not UTF-8 or too long, UserAnalyticsError when `output`
    cannot be written.
    """
    source = read_lines(lines, name)
    schema = _with_added(source.schema, explain=explain)
    with create_reviews(output, schema) as destination:
        return _copy(model, source, destination, schema, explain=explain)


def _with_added(schema: pa.Schema, *, explain: bool) -> pa.Schema:
    return pa.schema([*schema, *_JUDGEMENT, *([_EXPLANATION] if explain else [])])


def _copy(model: Model, source: ReviewFile, destination: ReviewWriter, schema: pa.Schema, *, explain: bool) -> Scored:
    scored = Scored(0, 0, 0)
    for batch in source.batches:
        texts = batch[TEXT_COLUMN]
        probabilities = _judged(model, texts, source.name, scored.rows)
        positive = is_positive(probabilities)
        columns = [*batch.columns, probabilities, positive]
        if explain:
            columns.append(_explanations(model, texts))
        destination.write_batch(pa.record_batch(columns, schema=schema))
        scored = Scored(
            scored.rows + batch.num_rows,
            scored.positive_rows + (pc.sum(positive).as_py() or 0),
            scored.unjudged_rows + probabilities.null_count,
        )
    return scored


def _judged(model: Model, texts: pa.Array, name: str, rows_before: int) -> pa.DoubleArray:
    try:
        return score(model, texts)
    except pa.ArrowException as error:
        # Arrow counts the bytes of an array of strings in 31 bits.
        raise InputError(
            f"{name}: rows {rows_before + 1} to {rows_before + len(texts)} cannot be judged, for their texts are too "
            f"long together: shorten them ({error})"
        ) from error


def _explanations(model: Model, texts: pa.Array) -> pa.StringArray:
    explained = (None if text is None else deciding_ngrams(model, text) for text in texts.to_pylist())
    return pa.array(explained, pa.string())
