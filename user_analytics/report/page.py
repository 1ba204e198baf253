"""Figures → one self-contained HTML page: no script, no network, nothing from a source unescaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from user_analytics.report import charts, wording
from user_analytics.report.charts import Bar
from user_analytics.report.figures import (
    EXAMPLE_CHARACTERS,
    LOW_CONFIDENCE_FROM,
    LOW_CONFIDENCE_TO,
    Example,
    ExampleKind,
    Figures,
    Sentiment,
    spend_groups,
)
from user_analytics.warehouse.looker import LookerLinks

EXAMPLE_TITLES: Mapping[ExampleKind, str] = {
    "surely_positive": "Most surely positive",
    "surely_negative": "Most surely negative",
    "least_sure": "Least sure",
}


@dataclass(frozen=True)
class Table:
    """A table of texts; the first cell of a row is its header."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawing:
    """A chart with what stands in for it: `description` for who cannot see it, `table` for who wants the figures."""

    name: str
    svg: Markup
    description: str
    caption: str
    table: Table


def render_page(figures: Figures, links: LookerLinks, stage_times: Mapping[str, float] | None) -> str:
    """The page's HTML. `stage_times` are seconds by stage, in order; None where no one run has them all."""
    environment = Environment(
        loader=PackageLoader("user_analytics.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "beginning": wording.beginning,
        "coefficient": wording.coefficient,
        "day": wording.day,
        "moment": wording.moment,
        "money": wording.money,
        "number": wording.number,
        "probability": wording.probability,
        "strength": wording.strength,
    }
    return environment.get_template("page.html.j2").render(
        figures=figures,
        positive_share=wording.share(figures.sentiment.positive, figures.sentiment.judged),
        style=Markup(files("user_analytics.report").joinpath("page.css").read_text("utf-8")),  # noqa: S704  our own file
        top_by_amount_spent=_top_by_amount_spent(figures),
        top_by_positive_reviews=_top_by_positive_reviews(figures),
        spend_against_reviews=_spend_against_reviews(figures),
        reviews_by_sentiment=_reviews_by_sentiment(figures.sentiment),
        low_confidence=_low_confidence(figures.sentiment),
        examples=_examples(figures.examples),
        example_characters=EXAMPLE_CHARACTERS,
        rows=_rows(figures),
        quarantine=_quarantine(figures),
        model_quality=_model_quality(figures),
        stage_times=_stage_times(stage_times) if stage_times else None,
        links=links,
    )


def _top_by_amount_spent(figures: Figures) -> Drawing | None:
    top = figures.top_by_amount_spent
    if not top:
        return None
    bars = [Bar(str(row.customer_id), float(row.amount_spent), wording.money(row.amount_spent)) for row in top]
    return _bar_chart(
        "top-by-amount-spent",
        bars,
        "Bars: the customers who spent the most.",
        "Amount spent, by customer number",
        Table(
            "The five as a table",
            ["Rank", "Customer", "Amount spent"],
            [[str(row.rank), str(row.customer_id), wording.money(row.amount_spent)] for row in top],
        ),
    )


def _top_by_positive_reviews(figures: Figures) -> Drawing | None:
    top = figures.top_by_positive_reviews
    if not top:
        return None
    bars = [
        Bar(str(row.customer_id), row.num_positive_reviews, wording.number(row.num_positive_reviews)) for row in top
    ]
    return _bar_chart(
        "top-by-positive-reviews",
        bars,
        "Bars: the customers with the most positive reviews.",
        "Positive reviews, by customer number",
        Table(
            "The five as a table",
            ["Rank", "Customer", "Positive reviews"],
            [[str(row.rank), str(row.customer_id), wording.number(row.num_positive_reviews)] for row in top],
        ),
    )


def _spend_against_reviews(figures: Figures) -> Drawing | None:
    if not figures.dots:
        return None
    least, most = min(d.least_spent for d in figures.dots), max(d.most_spent for d in figures.dots)
    fullest = max(dot.customers for dot in figures.dots)
    coefficient = figures.correlation.amount_spent_vs_num_reviews
    caption = [f"Each dot is {'a customer' if fullest == 1 else 'one or more customers'}."]
    if fullest > 1:
        caption.append(
            f"Customers whose dots would overlap share one, larger by their number (at most {wording.number(fullest)})."
        )
    if figures.amount_axis.constant is not None or figures.reviews_axis.constant is not None:
        caption.append("An axis with powers of ten is logarithmic on both sides of zero.")
    return Drawing(
        "spend-against-reviews",
        _drawn(charts.scatter(figures.dots, figures.amount_axis, figures.reviews_axis)),
        f"Scatter plot of {wording.number(figures.summary.customers)} customers: amount spent, from "
        f"{wording.money(least)} to {wording.money(most)}, against number of reviews, from "
        f"{figures.reviews_axis.minimum:.0f} to {figures.reviews_axis.maximum:.0f}. Correlation "
        f"{wording.coefficient(coefficient)}: {wording.strength(coefficient)}.",
        " ".join(caption),
        Table(
            "Customers by amount spent",
            ["Amount spent", "Customers", "Reviews each"],
            [
                [
                    f"{wording.money(group.least_spent)} to {wording.money(group.most_spent)}",
                    wording.number(group.customers),
                    f"{group.num_reviews / group.customers:,.2f}",
                ]
                for group in spend_groups(figures.dots)
            ],
        ),
    )


def _reviews_by_sentiment(sentiment: Sentiment) -> Drawing | None:
    if not sentiment.total:
        return None
    verdicts = [
        ("Positive", sentiment.positive, charts.ACCENT),
        ("Negative", sentiment.negative, charts.NEGATIVE),
        ("Not judged", sentiment.not_judged, charts.NEUTRAL),
    ]
    return _bar_chart(
        "reviews-by-sentiment",
        [Bar(label, count, wording.number(count), colour) for label, count, colour in verdicts],
        "Bars: reviews by sentiment.",
        "Number of reviews. Not judged: the text holds nothing that the model knows.",
        Table(
            "Reviews by sentiment as a table",
            ["Sentiment", "Reviews", "Share"],
            [[label, wording.number(count), wording.share(count, sentiment.total)] for label, count, _ in verdicts],
        ),
    )


def _low_confidence(sentiment: Sentiment) -> str:
    """Of the judged reviews; those with nothing to judge are in the chart."""
    return (
        f"{wording.number(sentiment.low_confidence)} of those judged "
        f"({wording.share(sentiment.low_confidence, sentiment.judged)}) were judged with low confidence: a probability "
        f"from {LOW_CONFIDENCE_FROM:g} to {LOW_CONFIDENCE_TO:g}."
    )


def _examples(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """By title, in their order."""
    return {EXAMPLE_TITLES[kind]: list(group) for kind, group in groupby(examples, key=lambda each: each.kind)}


def _stage_times(stage_times: Mapping[str, float]) -> Drawing:
    return _bar_chart(
        "stage-times",
        [Bar(stage, value, wording.seconds(value)) for stage, value in stage_times.items()],
        "Bars: time that each stage of the run took.",
        "In order of their start; some run side by side.",
        Table(
            "Stage times as a table",
            ["Stage", "Time"],
            [[stage, wording.seconds(value)] for stage, value in stage_times.items()],
        ),
    )


def _bar_chart(name: str, bars: Sequence[Bar], description: str, caption: str, table: Table) -> Drawing:
    spoken = "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    return Drawing(name, _drawn(charts.bars(bars)), f"{description} {spoken}.", caption, table)


def _rows(figures: Figures) -> Table:
    return Table(
        "Rows of the source, and what became of them",
        ["Table", "Read", "Quarantined", "Published"],
        [
            [rows.table, wording.number(rows.read), wording.number(rows.quarantined), wording.number(rows.published)]
            for rows in figures.tables
        ],
    )


def _quarantine(figures: Figures) -> Table | None:
    if not figures.quarantine_reasons:
        return None
    return Table(
        "Why rows were quarantined",
        ["Table and reason", "Rows"],
        [[f"{reason.table}: {reason.reason}", wording.number(reason.rows)] for reason in figures.quarantine_reasons],
    )


def _model_quality(figures: Figures) -> Table | None:
    if figures.model is None or not figures.model.quality:
        return None
    return Table(
        f"Cross-validated over {figures.model.folds} folds, on labelled reviews that the model measured had not seen",
        ["Reviews", "Number", "Accuracy", "Calibration error"],
        [
            [
                quality.kind,
                wording.number(quality.reviews),
                wording.share_with_interval(quality.accuracy, quality.accuracy_interval),
                f"{quality.calibration_error:.3f}",
            ]
            for quality in figures.model.quality
        ],
    )


def _drawn(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704  Vega escapes all texts it draws
