"""The model card: what a model is, made of, and good for, as Markdown that is generated, not written.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from collections.abc import Iterable

import numpy as np

from user_analytics.sentiment.model import Coefficients, Metrics, Model
from user_analytics.sentiment.tokeniser import NAME as TOKENISER

_STRONGEST = 25


def model_card(model: Model, coefficients: Coefficients, size: int) -> str:
    """The card of a model; `coefficients` are the model's before rounding, `size` its file's in bytes."""
    sections = [
        _title(model),
        _file(model, coefficients, size),
        _data(model),
        _validation(model),
        _strongest(coefficients),
        _use(),
    ]
    return "\n\n".join(sections) + "\n"


def _title(model: Model) -> str:
    return (
        f"# Sentiment model {model.version}\n\n"
        "Gives the probability that a review in English is positive. TF-IDF over words and pairs of words "
        "(sublinear term frequency, L2 norm) with logistic regression.\n\n"
        "*Written by `user-analytics train`; train again rather than edit.*"
    )


def _file(model: Model, coefficients: Coefficients, size: int) -> str:
    parameters = (f"`{name}` {value:g}" for name, value in model.training.parameters.items())
    return (
        f"## The file\n\n{len(coefficients.ngrams):,} n-grams over {len(model.words):,} words, {size:,} bytes; "
        f"tokeniser `{TOKENISER}`; bias {model.bias:.4f}. Weights and inverse document frequencies are rounded to "
        f"half precision. Fitted with scikit-learn {model.training.scikit_learn}; {', '.join(parameters)}."
    )


def _data(model: Model) -> str:
    training = model.training
    files = _table(
        ("file", "rows", "SHA-256"), ((each.name, f"{each.rows:,}", f"`{each.sha256}`") for each in training.files)
    )
    sources = _table(("source", "reviews"), ((name, f"{rows:,}") for name, rows in training.rows_by_source.items()))
    return (
        f"## Training data\n\n{files}\n\n{training.rows:,} different reviews "
        f"({training.duplicate_rows:,} repeated ones left out):\n\n{sources}"
    )


def _validation(model: Model) -> str:
    validation = model.validation
    if validation is None:
        raise ValueError("a card needs a validated model")
    metrics = _table(
        ("source", "reviews", "not judged", "accuracy", "log loss", "calibration error"),
        [
            *(_metrics_row(name, each) for name, each in validation.by_source.items()),
            _metrics_row("all", validation.total),
        ],
    )
    calibration = _table(
        ("probability", "reviews", "mean probability", "share positive"),
        (
            (f"from {each.lowest:g}", f"{each.rows:,}", f"{each.mean_probability:.3f}", f"{each.positive_share:.3f}")
            for each in validation.calibration
        ),
    )
    return (
        "## Validation\n\nMeasured, with the scoring function and the rounding that are shipped, on a tenth of "
        "the reviews (the same share of every source and label) by a model fitted to the other nine tenths. The "
        "shipped model is fitted to all of them in the same way. No parameter was chosen on this "
        f"tenth.\n\n{metrics}\n\nAccuracy with 95% interval. A review counts as positive from probability 0.5; one "
        "that is not judged counts as wrong. Log loss in nats; calibration error: the mean gap between probability and "
        f"share of positive reviews over ten equal bins.\n\n{calibration}"
    )


def _metrics_row(name: str, metrics: Metrics) -> tuple[str, ...]:
    # Normal approximation of the binomial: rows are many and shares far from 0 and 1.
    half_width = 1.96 * (metrics.accuracy * (1 - metrics.accuracy) / max(1, metrics.rows)) ** 0.5
    return (
        name,
        f"{metrics.rows:,}",
        f"{metrics.unjudged_rows:,}",
        f"{metrics.accuracy:.1%} ± {half_width:.1%}",
        f"{metrics.log_loss:.3f}",
        f"{metrics.calibration_error:.3f}",
    )


def _strongest(coefficients: Coefficients) -> str:
    order = np.argsort(coefficients.weights, kind="stable")

    def listed(positions: Iterable[int]) -> str:
        return ", ".join(f"{coefficients.ngrams[each]} ({coefficients.weights[each]:+.1f})" for each in positions)

    return (
        f"## Strongest n-grams\n\nBy weight. Positive: {listed(order[::-1][:_STRONGEST])}.\n\n"
        f"Negative: {listed(order[:_STRONGEST])}."
    )


def _use() -> str:
    return (
        "## Use and limits\n\n"
        "For shares and counts over many English reviews of films. Sentences are judged less well than whole "
        "reviews. It knows neither irony nor anything beyond two neighbouring words: a negation further away is "
        "missed, and in a pair such as *not bad* the strong word can outweigh the pair. Texts of other kinds or "
        "languages are outside what was measured; a text without a known n-gram (empty, only symbols, another "
        "script) gets no probability at all. Not for decisions about a person."
    )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |" for cells in lines)
