"""The shipped model, byte for byte as it is scored, against the same in plain Python on every labelled review.

REAL_DATA is a folder with labelled_reviews.parquet (review_str, label); without it this whole module is one skip.
"""

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from user_analytics.sentiment.counts import count_ngrams
from user_analytics.sentiment.explain import ngrams
from user_analytics.sentiment.fit import Examples, Parameters, fit
from user_analytics.sentiment.kernel import NgramTable
from user_analytics.sentiment.model import Coefficients, load_model, quantise, restore
from user_analytics.sentiment.tokeniser import words

if not os.environ.get("REAL_DATA"):
    pytest.skip("REAL_DATA (folder of real input files) is not set", allow_module_level=True)
FILE = Path(os.environ["REAL_DATA"]).resolve() / "labelled_reviews.parquet"
if not FILE.exists():
    pytest.skip(f"{FILE} is missing", allow_module_level=True)

REVIEWS = pq.read_table(FILE).combine_chunks()
TEXTS = REVIEWS["review_str"].chunk(0).cast(pa.string())


@pytest.fixture(scope="module")
def counters() -> list[Counter[str]]:
    """The n-grams of every review, found and counted by plain Python."""
    return [Counter(ngrams(words(text))) for text in TEXTS.to_pylist()]


def plain_logits(coefficients: Coefficients, counters: list[Counter[str]]) -> np.ndarray:
    """The definition of a score, one review and one n-gram at a time."""
    known = {
        ngram: (float(idf), float(weight))
        for ngram, idf, weight in zip(coefficients.ngrams, coefficients.idf, coefficients.weights, strict=True)
    }
    logits = []
    for found in counters:
        product = squares = 0.0
        for ngram, occurrences in found.items():
            if ngram in known:
                idf, weight = known[ngram]
                tfidf = (1 + math.log(occurrences)) * idf
                product += tfidf * weight
                squares += tfidf * tfidf
        logits.append(coefficients.bias + product / math.sqrt(squares) if squares else math.nan)
    return np.array(logits)


def test_the_kernel_gives_every_review_the_logit_that_plain_python_gives(counters: list[Counter[str]]) -> None:
    model = load_model()
    shipped = Coefficients(model.ngrams, model.weights.astype(float), model.idf.astype(float), model.bias)
    np.testing.assert_allclose(model.table.logits(TEXTS), plain_logits(shipped, counters), rtol=0, atol=1e-9)


@pytest.mark.long
def test_rounding_to_bytes_moves_no_logit_by_a_tenth(counters: list[Counter[str]]) -> None:
    few = np.arange(0, len(TEXTS), 10)
    counts = count_ngrams(TEXTS.take(few).cast(pa.large_string()), minimum_rows=3)
    examples = Examples(counts.matrix, REVIEWS["label"].to_numpy()[few].astype(np.int8), np.ones(len(few)))
    fitted = fit(examples, counts.ngrams, Parameters())
    weights, idf = restore(quantise(fitted))
    rounded = NgramTable(pa.array(fitted.ngrams), weights, idf, fitted.bias)

    moved = np.abs(rounded.logits(TEXTS) - plain_logits(fitted, counters))

    assert np.nanmax(moved) < 0.1, "a probability of 0.5 may move by 0.025"
    assert np.nanmean(moved) < 0.01
