"""Fitting the coefficients of a model to counted n-grams.

TF-IDF scaled by the n-grams' naive Bayes log-ratios, with logistic regression: Wang & Manning, "Baselines and Bigrams",
ACL 2012, show how hard that is to beat on reviews. scikit-learn fits; the n-grams are chosen by χ².
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from user_analytics.errors import ModelError
from user_analytics.sentiment.model import Coefficients

_MARKS = set("!? ")


@dataclass(frozen=True)
class Parameters:
    """What was chosen by cross-validation on the training data, never by a held-out set.

    `ngrams`: how many are kept; `minimum_rows`: texts an n-gram must occur in; `always_kept_rows`: a
    single word in so many texts is kept whatever its χ² says, since alone it drops words like "good" whose
    longer n-grams say more; `smoothing` of the log-ratios and `least_scale`, which is added to their size, so
    that a word like "good", as common in bad reviews, may still weigh something where it stands alone;
    `inverse_regularisation`: C of the regression;
    `pseudo_probability`: how sure the first fit must be of an unlabelled review either way, and
    `pseudo_weight` how much that review then weighs against a labelled one.
    """

    ngrams: int = 80_000
    minimum_rows: int = 3
    always_kept_rows: int = 50
    smoothing: float = 1.0
    least_scale: float = 0.5
    inverse_regularisation: float = 5.0
    pseudo_probability: float = 0.73
    pseudo_weight: float = 0.3
    folds: int = 5
    seed: int = 0


class Examples(NamedTuple):
    """Reviews to learn from: counts of their n-grams, labels (1 positive, 0 negative) and weights, row by row."""

    counts: csr_matrix
    labels: NDArray[np.int8]
    weights: NDArray[np.float64]


def fit(examples: Examples, ngrams: NDArray[np.object_], parameters: Parameters) -> Coefficients:
    """Choose n-grams (the columns of the counts) and fit the regression to them.

    Raises ModelError when no n-gram can be chosen.
    """
    is_positive = examples.labels == 1
    presence = examples.counts.sign()
    positive = presence.T @ (examples.weights * is_positive)
    negative = presence.T @ (examples.weights * ~is_positive)
    positive_share = float(np.average(is_positive, weights=examples.weights))
    rows_with = np.asarray(presence.sum(axis=0)).ravel()
    chosen = _choose(_chi_squared(positive, negative, positive_share), rows_with, ngrams, parameters)
    if not len(chosen):
        raise ModelError(
            f"no word occurs in {parameters.minimum_rows} of {examples.counts.shape[0]} reviews: "
            "there is nothing to learn from"
        )

    transformer = TfidfTransformer(sublinear_tf=True)
    tfidf = transformer.fit_transform(examples.counts[:, chosen])
    scales = np.abs(_log_ratios(positive[chosen], negative[chosen], parameters.smoothing)) + parameters.least_scale
    regression = LogisticRegression(C=parameters.inverse_regularisation, max_iter=1000, tol=1e-5)
    with threadpool_limits(1):  # the order of sums, and with it the last digits, would depend on the number of cores
        regression.fit(tfidf @ diags(scales), examples.labels, sample_weight=examples.weights)
    return Coefficients(
        ngrams=ngrams[chosen].tolist(),
        weights=regression.coef_[0] * scales,
        idf=transformer.idf_,
        bias=float(regression.intercept_[0]),
    )


def with_pseudo_labels(
    examples: Examples, unlabelled: csr_matrix, probabilities: NDArray[np.float64], parameters: Parameters
) -> Examples:
    """The examples, and the unlabelled reviews that a first fit is sure of, labelled by it (NaN: not judged)."""
    is_sure = np.maximum(probabilities, 1 - probabilities) >= parameters.pseudo_probability
    return Examples(
        vstack([examples.counts, unlabelled[is_sure]], format="csr"),
        np.concatenate([examples.labels, (probabilities[is_sure] > 0.5).astype(np.int8)]),
        np.concatenate([examples.weights, np.full(int(is_sure.sum()), parameters.pseudo_weight)]),
    )


def _chi_squared(
    positive: NDArray[np.float64], negative: NDArray[np.float64], positive_share: float
) -> NDArray[np.float64]:
    """χ² of presence against the label, as scikit-learn's chi2, which takes no weights."""
    expected = (positive + negative) * positive_share
    return (positive - expected) ** 2 / np.maximum(expected * (1 - positive_share), np.finfo(np.float64).tiny)


def _log_ratios(positive: NDArray[np.float64], negative: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """How much likelier each n-gram is in a positive review than in a negative one, as a logarithm."""
    p, q = positive + smoothing, negative + smoothing
    ratios: NDArray[np.float64] = np.log(p / p.sum()) - np.log(q / q.sum())
    return ratios


def _choose(
    relevance: NDArray[np.float64], rows_with: NDArray[np.int64], ngrams: NDArray[np.object_], parameters: Parameters
) -> NDArray[np.int64]:
    """Columns of the most relevant n-grams and of all common words, in the order of the n-grams.

    Marks alone are never chosen: a text of nothing but marks has nothing to judge.
    """
    is_common_word = np.array([" " not in ngram for ngram in ngrams], dtype=bool) & (
        rows_with >= parameters.always_kept_rows
    )
    has_word = np.array([not set(ngram) <= _MARKS for ngram in ngrams], dtype=bool)
    candidates = np.flatnonzero(has_word & (rows_with >= parameters.minimum_rows))
    order = np.argsort(-np.where(is_common_word, np.inf, relevance)[candidates], kind="stable")
    chosen = candidates[order[: parameters.ngrams]]
    return chosen[np.argsort(ngrams[chosen])]
