"""The table `publications`: one row per publish, written in the transaction that replaced the tables."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from user_analytics.errors import PublishRefused
from user_analytics.mode import Mode
from user_analytics.sql import render_sql
from user_analytics.warehouse.client import Rows, Warehouse
from user_analytics.warehouse.tables import PUBLICATIONS

Value: TypeAlias = int | str | date | datetime | None

# What a text may be that goes into a script, where BigQuery takes no query parameters: a digest, a
# version, the name of a table; nothing that could end a literal.
PLAIN = re.compile(r"[\w.+:/-]+")


class Publication(NamedTuple):
    """One publish: the columns of `sql/bigquery/tables/publications.sql`, which describes them.

    Counts are rows. `window_start` and `window_end` (UTC, the end not included) are None for a full publish.
    """

    sequence: int
    publication_id: str
    ds: date
    mode: Mode
    window_start: datetime | None
    window_end: datetime | None
    published_at: datetime
    version: str
    model_version: str
    movie_review_source_rows: int
    movie_review_rows: int
    movie_review_quarantined_rows: int
    movie_review_raw_digest: str
    movie_review_staging_digest: str
    movie_review_staging_table: str
    user_purchase_source_rows: int
    user_purchase_rows: int
    user_purchase_quarantined_rows: int
    user_purchase_raw_digest: str
    user_purchase_staging_digest: str
    user_purchase_staging_table: str


def publications(warehouse: Warehouse) -> list[Publication]:
    """Every publish, newest first; none when nothing was ever published."""
    table_id = warehouse.table_id(PUBLICATIONS)
    if not warehouse.table_exists(table_id):
        return []
    columns, rows = warehouse.rows(render_sql("bigquery/publications.sql", publications=table_id))
    return [Publication(**dict(zip(columns, row, strict=True))) for row in rows]


def dates_in_use(published: Sequence[Publication]) -> frozenset[date]:
    """Of publishes, newest first: the dates from the newest to the last full one, whose rows are what is published."""
    increments = [each.ds for each in takewhile(lambda each: each.mode == "incremental", published)]
    return frozenset([*increments, *(each.ds for each in published[len(increments) :][:1])])


def overview(published: Sequence[Publication]) -> Rows:
    """What a person asks first of each publish, as rows that fit into 100 characters."""
    columns = ["ds", "mode", "published_utc", "reviews", "purchases", "quarantined", "model_version"]
    return Rows(
        columns,
        [
            (
                each.ds,
                each.mode,
                f"{each.published_at.astimezone(UTC):%Y-%m-%d %H:%M}",
                each.movie_review_rows,
                each.user_purchase_rows,
                each.movie_review_quarantined_rows + each.user_purchase_quarantined_rows,
                each.model_version,
            )
            for each in published
        ],
    )


def literal(value: Value) -> str:
    """A value as a BigQuery literal; times in UTC. Raises PublishRefused for a text that does not belong in SQL."""
    match value:
        case None:
            return "null"
        case datetime():
            return f"timestamp '{value.astimezone(UTC).isoformat(sep=' ')}'"
        case date():
            return f"date '{value.isoformat()}'"
        case int():
            return str(value)
        case str() if PLAIN.fullmatch(value):
            return f"'{value}'"
    raise PublishRefused(f"{value!r} is no version, digest or table name, and nothing else goes into a publish script")
