"""The model card: what a model is, made of, and good for, as Markdown that is generated, not written.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from collections.abc import Iterable

import altair as alt
import numpy as np
import pyarrow as pa
import vl_convert

from user_analytics.sentiment.model import Metrics, Model, Validation
from user_analytics.sentiment.score import score
from user_analytics.sentiment.tokeniser import NAME as TOKENISER

_STRONGEST = 25
# Shown with what the model makes of them, so that its failures are seen and not described.
_PHRASES = {
    "good movie": "a plain word",
    "not good": "a negation beside its word",
    "not bad": "a negation that only weakens",
    "I don't think it is bad": "a negation further away than three words",
    "This is not a good movie": "a negation two words before",
    "I would not go as far as to call it good": "a negation as far away, before praise",
    "7/10": "a mark out of ten",
    "As good as a root canal": "irony",
    "!!!": "marks alone: nothing to judge",
    "": "no text",
    "это фильм": "another script",
}


def model_card(model: Model, validation: Validation, size: int) -> str:
    """The card of a model; `size` is its file's in bytes."""
    sections = [
        _title(model),
        _file(model, size),
        _data(model),
        _validation(validation),
        _strongest(model),
        _limits(model, validation),
    ]
    return "\n\n".join(sections) + "\n"


def calibration_plot(validation: Validation) -> str:
    """Share of positive reviews against the mean probability, bin by bin, as SVG."""
    points = [
        {"probability": each.mean_probability, "positive": each.positive_share, "reviews": each.rows}
        for each in validation.calibration
    ]
    axis = alt.Scale(domain=[0, 1])
    diagonal = (
        alt.Chart(alt.InlineData(values=[{"p": 0}, {"p": 1}]))
        .mark_line(color="#888888", strokeDash=[4, 4])
        .encode(x=alt.X("p:Q", scale=axis), y=alt.Y("p:Q", scale=axis))
    )
    bins = (
        alt.Chart(alt.InlineData(values=points))
        .mark_circle(color="#1f6f8b", opacity=1)
        .encode(
            x=alt.X("probability:Q", title="mean probability of being positive", scale=axis),
            y=alt.Y("positive:Q", title="share that is positive", scale=axis),
            size=alt.Size("reviews:Q", title="reviews"),
        )
    )
    chart = (diagonal + bins).properties(width=320, height=320, background="white")
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))


def _title(model: Model) -> str:
    return (
        f"# Sentiment model {model.version}\n\n"
        "Gives the probability that a review in English is positive: TF-IDF over words and runs of two or three words, "
        "`!` and `?` among them (sublinear term frequency, L2 norm), scaled by naive Bayes log-ratios, with logistic "
        "regression.\n\n*Written by `user-analytics train`; train again rather than edit.*"
    )


def _file(model: Model, size: int) -> str:
    parameters = (f"`{name}` {value:g}" for name, value in model.training.parameters.items())
    return (
        f"## The file\n\n{len(model.ngrams):,} n-grams, {size:,} bytes; tokeniser `{TOKENISER}`; bias "
        f"{model.bias:.4f}. Weights and inverse document frequencies are rounded to a byte each. Fitted with "
        f"scikit-learn {model.training.scikit_learn}; {', '.join(parameters)}."
    )


def _data(model: Model) -> str:
    training = model.training
    files = _table(
        ("file", "labelled", "rows", "SHA-256"),
        (
            (each.name, labelled, f"{each.rows:,}", f"`{each.sha256}`")
            for labelled, files_read in (("yes", training.files), ("no", training.unlabelled_files))
            for each in files_read
        ),
    )
    sources = _table(("source", "reviews"), ((name, f"{rows:,}") for name, rows in training.rows_by_source.items()))
    self_training = (
        f"\n\nA first fit to them was sure of {training.pseudo_labelled_rows:,} unlabelled reviews; a second fit "
        "learned from those too, labelled by the first and weighing less."
        if training.unlabelled_files
        else ""
    )
    return (
        f"## Training data\n\n{files}\n\n{training.rows:,} different labelled reviews "
        f"({training.duplicate_rows:,} repeated ones left out):\n\n{sources}{self_training}"
    )


def _validation(validation: Validation) -> str:
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
        f"## Validation\n\nCross-validated over {validation.folds} folds, each with the same share of every source and "
        "label: n-grams, weights and self-training are those of the other folds, rounded and scored as the shipped "
        "model is, which is fitted to all folds in the same way. Parameters were chosen by such folds of the same "
        f"reviews, never by a held-out set.\n\n{metrics}\n\nAccuracy is the mean of the folds with its 95% interval "
        "(Student's t). A review counts as positive from probability 0.5; one that is not judged counts as wrong. Log "
        "loss in nats; calibration error: the mean gap between probability and share of positive reviews over ten "
        f"equal bins.\n\n![Calibration: share positive against probability](calibration.svg)\n\n{calibration}"
    )


def _metrics_row(name: str, metrics: Metrics) -> tuple[str, ...]:
    return (
        name,
        f"{metrics.rows:,}",
        f"{metrics.unjudged_rows:,}",
        f"{metrics.accuracy:.1%} ± {metrics.accuracy_interval:.1%}",
        f"{metrics.log_loss:.3f}",
        f"{metrics.calibration_error:.3f}",
    )


def _strongest(model: Model) -> str:
    # What an n-gram can do to a text depends on its rarity too.
    strength = model.weights * model.idf
    order = np.argsort(strength, kind="stable")

    def listed(positions: Iterable[int]) -> str:
        return ", ".join(f"{model.ngrams[each]} ({strength[each]:+.0f})" for each in positions)

    return (
        "## Strongest n-grams\n\nBy weight × inverse document frequency. "
        f"Positive: {listed(order[::-1][:_STRONGEST])}.\n\nNegative: {listed(order[:_STRONGEST])}."
    )


def _limits(model: Model, validation: Validation) -> str:
    by_length = _table(
        ("words", "reviews", "accuracy"),
        ((f"from {each.least_words}", f"{each.rows:,}", f"{each.accuracy:.1%}") for each in validation.by_length),
    )
    probabilities = score(model, pa.array(list(_PHRASES))).to_pylist()
    phrases = _table(
        ("text", "probability", "what it shows"),
        (
            (f"`{text}`" if text else "(empty)", "none" if found is None else f"{found:.2f}", why)
            for (text, why), found in zip(_PHRASES.items(), probabilities, strict=True)
        ),
    )
    return (
        "## Use and limits\n\n"
        "For shares and counts over many English reviews of films. Texts of other kinds or languages are outside what "
        "was measured. Not for decisions about a person.\n\nA few sentences are judged less well than a whole review "
        f"(accuracy over all folds):\n\n{by_length}\n\nIt sees three neighbouring words and no further, "
        f"and neither irony nor the subject of a sentence:\n\n{phrases}"
    )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def _cell(text: str) -> str:
    """What a source or file is called may hold anything; a cell is one line of text."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
