"""Scoring: a batch of texts in, a batch of probabilities out."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from user_analytics.sentiment.model import Model
from user_analytics.sentiment.tokeniser import tokenise

POSITIVE_FROM = 0.5

# Bounds the memory for words to a multiple of this many texts; larger is not faster.
_ROWS_AT_ONCE = 1024


def score(model: Model, texts: pa.Array) -> pa.DoubleArray:
    """The probability in [0, 1] that each text is positive, in order; `texts` is of any Arrow string type.

    NULL where there is nothing to judge: a null text, or one without any n-gram of the model.
    A text gets the same probability whatever batch it comes in.
    """
    chunks = [_score(model, texts.slice(start, _ROWS_AT_ONCE)) for start in range(0, len(texts), _ROWS_AT_ONCE)]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.float64())


def is_positive(probabilities: pa.DoubleArray) -> pa.BooleanArray:
    """`positive_review`: a probability of at least one half; NULL stays NULL."""
    return pc.greater_equal(probabilities, POSITIVE_FROM)


def _score(model: Model, texts: pa.Array) -> pa.DoubleArray:
    rows, ngrams = _find_ngrams(model, texts)
    # One integer per (text, n-gram): counting them gives the term frequencies.
    found = pc.value_counts(pa.array(rows * len(model.weights) + ngrams))
    rows, ngrams = np.divmod(found.field("values").to_numpy(), len(model.weights))
    # Sublinear TF-IDF with L2 norm, as scikit-learn's TfidfTransformer(sublinear_tf=True) defines it.
    tfidf = (1 + np.log(found.field("counts").to_numpy())) * model.idf[ngrams]
    dot_product = np.bincount(rows, tfidf * model.weights[ngrams], len(texts))
    norm = np.sqrt(np.bincount(rows, tfidf * tfidf, len(texts)))
    nothing_found = norm == 0
    logit = model.bias + dot_product / np.where(nothing_found, 1, norm)
    # The logistic function, in the form that cannot overflow.
    return pa.array((1 + np.tanh(logit / 2)) / 2, mask=nothing_found)


def _find_ngrams(model: Model, texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every occurrence of an n-gram of the model: the text's position, and the n-gram's."""
    rows, words = tokenise(texts)
    numbers = pc.fill_null(pc.index_in(words, model.words), -1).to_numpy().astype(np.int64) + 1
    first, second = numbers[:-1], numbers[1:]
    is_pair = (first > 0) & (second > 0) & (rows[:-1] == rows[1:])
    pair_keys = first[is_pair] * (len(model.words) + 1) + second[is_pair]
    ngrams = pc.index_in(pa.array(np.concatenate([numbers, pair_keys])), model.ngram_keys)
    is_known = ngrams.is_valid().to_numpy(zero_copy_only=False)
    return np.concatenate([rows, rows[:-1][is_pair]])[is_known], ngrams.drop_null().to_numpy().astype(np.int64)
