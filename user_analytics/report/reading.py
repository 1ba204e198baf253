"""The warehouse and the lake → figures, all of one publication."""

from collections import Counter
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from google.cloud.bigquery import ScalarQueryParameter

from user_analytics.errors import LakeError, ModelError, WarehouseError
from user_analytics.lake.manifest import Table, read_raw_manifest
from user_analytics.lake.store import Store
from user_analytics.lake.verified import read_verified
from user_analytics.report.figures import (
    CELLS_ACROSS,
    CELLS_UP,
    EXAMPLE_CANDIDATES,
    LONGEST_EXAMPLE,
    LOW_CONFIDENCE_FROM,
    LOW_CONFIDENCE_TO,
    Axis,
    Candidate,
    Correlation,
    Dot,
    Example,
    Figures,
    ModelCard,
    ModelQuality,
    QuarantineReason,
    Reviewer,
    Sentiment,
    Spender,
    Spread,
    Summary,
    TableRows,
    choose_axis,
    choose_examples,
)
from user_analytics.sentiment.explain import deciding_ngrams
from user_analytics.sentiment.model import Model, load_model
from user_analytics.sql import render_sql
from user_analytics.warehouse.client import Rows, Warehouse
from user_analytics.warehouse.publications import Publication, publications
from user_analytics.warehouse.view_names import (
    CORRELATION_VIEW,
    TOP_5_BY_AMOUNT_SPENT_VIEW,
    TOP_5_BY_POSITIVE_REVIEWS_VIEW,
)
from user_analytics.warehouse.views import query_view

log = structlog.get_logger()

ATTEMPTS = 3
REASONS = 5
"""Reasons listed for each table, most frequent first; the others are counted together."""


def read_figures(warehouse: Warehouse, store: Store, ds: date) -> Figures:
    """The figures of the published date.

    Several queries are one picture only if nothing is published between them: then they are read
    again. Raises WarehouseError when the tables hold another date or change all the time.
    """
    for _ in range(ATTEMPTS):
        publication = _published(warehouse, ds)
        figures = _read(warehouse, store, publication)
        if _published(warehouse, ds) == publication:
            return figures
    raise WarehouseError(
        f"the tables were published anew {ATTEMPTS} times while the report read them: "
        "let the other runs finish, then run `user-analytics report` again"
    )


def _published(warehouse: Warehouse, ds: date) -> Publication:
    latest = next(iter(publications(warehouse)), None)
    if latest is None:
        raise WarehouseError("nothing is published yet, so there is nothing to report: run the pipeline first")
    if latest.ds != ds:
        raise WarehouseError(
            f"the tables hold {latest.ds}, not {ds}: report on {latest.ds}, or publish {ds} again first"
        )
    return latest


def _read(warehouse: Warehouse, store: Store, publication: Publication) -> Figures:
    *only_rows, candidates = warehouse.rows_of_each(
        [
            _query(warehouse, "summary"),
            _query(
                warehouse, "sentiment", low_confidence_from=LOW_CONFIDENCE_FROM, low_confidence_to=LOW_CONFIDENCE_TO
            ),
            _query(warehouse, "guests"),
            _query(warehouse, "examples", candidates=EXAMPLE_CANDIDATES, longest_text=LONGEST_EXAMPLE),
        ]
    )
    summary, sentiment, guests = map(_only_row, only_rows)
    model = _model(store, publication.model_version)
    amount_axis = choose_axis(_spread(summary["least_spent"], summary["most_spent"], summary["amount_quartiles"]))
    reviews_axis = choose_axis(
        _spread(summary["fewest_reviews"], summary["most_reviews"], summary["reviews_quartiles"])
    )
    return Figures(
        ds=publication.ds,
        mode=publication.mode,
        window=_window(publication),
        published_at=publication.published_at,
        version=publication.version,
        summary=Summary(
            customers=summary["customers"],
            amount_spent=summary["amount_spent"],
            num_reviews=summary["num_reviews"],
            num_positive_reviews=summary["num_positive_reviews"],
            **guests,
        ),
        sentiment=Sentiment(**sentiment),
        correlation=Correlation(*query_view(warehouse, CORRELATION_VIEW).rows[0]),
        top_by_amount_spent=[Spender(*row) for row in query_view(warehouse, TOP_5_BY_AMOUNT_SPENT_VIEW).rows],
        top_by_positive_reviews=[Reviewer(*row) for row in query_view(warehouse, TOP_5_BY_POSITIVE_REVIEWS_VIEW).rows],
        amount_axis=amount_axis,
        reviews_axis=reviews_axis,
        dots=_dots(warehouse, amount_axis, reviews_axis),
        tables=_tables(publication),
        quarantine_reasons=[
            *_reasons(store, "movie_review", publication.ds, publication.movie_review_raw_digest),
            *_reasons(store, "user_purchase", publication.ds, publication.user_purchase_raw_digest),
        ],
        model_version=publication.model_version,
        model=_model_card(model) if model else None,
        examples=_examples(candidates, model),
    )


def _query(warehouse: Warehouse, name: str, **variables: float) -> str:
    dataset = f"{warehouse.project}.{warehouse.settings.bigquery_dataset}"
    return render_sql(f"bigquery/report/{name}.sql", dataset=dataset, **variables)


def _only_row(rows: Rows) -> dict[str, Any]:
    (row,) = rows.rows
    return dict(zip(rows.columns, row, strict=True))


def _spread(minimum: Any, maximum: Any, quartiles: list[Any]) -> Spread:
    lower, median = (quartiles[1], quartiles[2]) if quartiles else (0, 0)
    return Spread(float(minimum or 0), float(maximum or 0), float(lower), float(median))


def _dots(warehouse: Warehouse, amount: Axis, reviews: Axis) -> list[Dot]:
    grid = {
        "amount_constant": amount.constant or 0.0,
        "amount_origin": amount.position(amount.minimum),
        "amount_cell": amount.cell(CELLS_ACROSS),
        "reviews_constant": reviews.constant or 0.0,
        "reviews_origin": reviews.position(reviews.minimum),
        "reviews_cell": reviews.cell(CELLS_UP),
    }
    parameters = [ScalarQueryParameter(name, "FLOAT64", value) for name, value in grid.items()]
    (cells,) = warehouse.rows_of_each([_query(warehouse, "spend_against_reviews")], parameters)
    return [Dot(*row) for row in cells.rows]


def _window(publication: Publication) -> tuple[datetime, datetime] | None:
    start, end = publication.window_start, publication.window_end
    return (start, end) if start is not None and end is not None else None


def _tables(publication: Publication) -> list[TableRows]:
    return [
        TableRows(
            "movie_review",
            publication.movie_review_source_rows,
            publication.movie_review_quarantined_rows,
            publication.movie_review_rows,
        ),
        TableRows(
            "user_purchase",
            publication.user_purchase_source_rows,
            publication.user_purchase_quarantined_rows,
            publication.user_purchase_rows,
        ),
    ]


def _reasons(store: Store, table: Table, ds: date, published_digest: str) -> list[QuarantineReason]:
    """Why rows of the published raw data were quarantined; none when the lake no longer has that data."""
    try:
        manifest, digest = read_raw_manifest(store, table, ds)
        if digest != published_digest or manifest.quarantine is None:
            return []
        body = read_verified(store, manifest.quarantine)
    except LakeError as error:
        log.warning("report_without_reasons", table=table, cause=str(error))
        return []
    reasons = pq.read_table(pa.BufferReader(body), columns=["reason"])["reason"]
    counted = Counter(reasons.to_pylist()).most_common()
    listed = [QuarantineReason(table, reason, rows) for reason, rows in counted[:REASONS]]
    others = sum(rows for _, rows in counted[REASONS:])
    return [*listed, QuarantineReason(table, "other reasons", others)] if others else listed


def _model(store: Store, version: str) -> Model | None:
    try:
        return load_model(version, store)
    except ModelError as error:
        log.warning("report_without_model", cause=str(error))
        return None


def _model_card(model: Model) -> ModelCard:
    validation = model.validation
    if validation is None:
        return ModelCard(model.training.rows, 0, [])
    return ModelCard(
        model.training.rows,
        validation.folds,
        [
            ModelQuality(kind, metrics.rows, metrics.accuracy, metrics.accuracy_interval, metrics.calibration_error)
            for kind, metrics in {**validation.by_source, "all": validation.total}.items()
        ],
    )


def _examples(candidates: Rows, model: Model | None) -> list[Example]:
    return [
        Example(*chosen, deciding_ngrams(model, chosen.text) if model else None)
        for chosen in choose_examples([Candidate(*row) for row in candidates.rows])
    ]
