"""What `status` shows a person of the publications."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from user_analytics.warehouse.publications import Publication, dates_in_use, overview
from user_analytics.warehouse.views import format_rows

BIG = 999_999_999
INCREMENTAL = Publication(
    sequence=2,
    publication_id="publish_20101208_0123456789abcdef",
    ds=date(2010, 12, 8),
    mode="incremental",
    window_start=datetime(2010, 12, 5, tzinfo=UTC),
    window_end=datetime(2010, 12, 9, tzinfo=UTC),
    published_at=datetime(2010, 12, 9, 1, 7, 30, tzinfo=timezone(timedelta(hours=1))),
    version="0.1.0",
    model_version="tfidf-0a1b2c3d",
    movie_review_source_rows=BIG,
    movie_review_rows=BIG - 3,
    movie_review_quarantined_rows=3,
    movie_review_raw_digest="0" * 64,
    movie_review_staging_digest="1" * 64,
    movie_review_staging_table="movie_review__20101208__0",
    user_purchase_source_rows=BIG,
    user_purchase_rows=BIG - 4,
    user_purchase_quarantined_rows=4,
    user_purchase_raw_digest="2" * 64,
    user_purchase_staging_digest="3" * 64,
    user_purchase_staging_table="user_purchase__20101208__0",
)


def test_a_row_tells_date_time_in_utc_rows_quarantine_and_model() -> None:
    rows = overview([INCREMENTAL])
    assert dict(zip(rows.columns, rows.rows[0], strict=True)) == {
        "ds": date(2010, 12, 8),
        "mode": "incremental",
        "published_utc": "2010-12-09 00:07",
        "reviews": BIG - 3,
        "purchases": BIG - 4,
        "quarantined": 7,
        "model_version": "tfidf-0a1b2c3d",
    }


def test_a_row_of_the_longest_values_fits_into_100_columns() -> None:
    assert max(map(len, format_rows(overview([INCREMENTAL]), "table").splitlines())) <= 100


@pytest.mark.parametrize(
    ("newest_first", "in_use"),
    [
        ([], []),
        (["full 8"], [8]),
        (["full 8", "full 9"], [8]),  # a step back
        (["incremental 20", "incremental 16", "incremental 12", "full 8", "incremental 6", "full 5"], [20, 16, 12, 8]),
        (["incremental 8", "incremental 7"], [8, 7]),  # what they rest on is not known
    ],
)
def test_in_use_are_the_last_full_publish_and_the_increments_since(newest_first: list[str], in_use: list[int]) -> None:
    published = [
        INCREMENTAL._replace(mode=mode, ds=date(2010, 12, int(day)))  # type: ignore[arg-type]
        for mode, day in map(str.split, newest_first)
    ]

    assert dates_in_use(published) == {date(2010, 12, day) for day in in_use}
