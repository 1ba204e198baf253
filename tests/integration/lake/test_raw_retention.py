"""Raw data goes once it is old enough, but for what is published and what came last."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from user_analytics.lake import keys
from user_analytics.lake.clean_up import clean_up
from user_analytics.lake.manifest import (
    DataFile,
    PurchaseTotals,
    RawManifest,
    ReviewTotals,
    Table,
    raw_dates,
    read_raw_manifest,
    write_raw_manifest,
)
from user_analytics.lake.raw_retention import remove_old_raw
from user_analytics.lake.store import Store

PUBLISHED, OLD, LATEST = date(2010, 12, 8), date(2010, 12, 5), date(2010, 12, 9)
THIRTY_DAYS = timedelta(days=30)
# A store gives an object the time at which it is written, so the tests look from later on.
INGESTED = datetime.now(UTC)
LATER = INGESTED + THIRTY_DAYS
MOMENT = timedelta(seconds=1)


def ingest(lake: Store, ds: date, *tables: Table, at: datetime = INGESTED) -> None:
    """The raw data of a date: of each table one file, one of quarantined rows, and the manifest."""
    for table in tables or ("movie_review", "user_purchase"):
        uuid = uuid4()
        named = [keys.raw_part(table, ds, uuid, 0), keys.quarantine_part(table, ds, uuid)]
        for key in named:
            lake.put(key, b"body")
        part, quarantined = [DataFile(key=key, size=4, sha256="", rows=1) for key in named]
        totals: dict[Table, ReviewTotals | PurchaseTotals] = {
            "movie_review": ReviewTotals(sum_cid=1),
            "user_purchase": PurchaseTotals(sum_quantity=0, sum_amount=Decimal(0), null_customer_ids=0),
        }
        manifest = RawManifest(
            table=table, ds=ds, mode="full", window=None, attempt=uuid, files=[part], original=None,
            quarantine=quarantined, source_rows=2, rows=1, quarantined_rows=1, columns=[],
            control_totals=totals[table], source="", created_at=at, version="",
        )  # fmt: skip
        write_raw_manifest(lake, manifest)


def of(lake: Store, ds: date) -> set[str]:
    """All objects of a date."""
    return {item.key for item in lake.list("") if f"/ds={ds}/" in item.key}


@pytest.fixture
def kept(lake: Store) -> Store:
    """A lake with a date that nothing needs, the published one, and the latest, all ingested at once."""
    for ds in (OLD, PUBLISHED, LATEST):
        ingest(lake, ds)
    return lake


def remove(lake: Store, now: datetime = LATER, in_use: Sequence[date] = (PUBLISHED,)) -> list[date]:
    """What the command does: manifests first, then files."""
    removed = remove_old_raw(lake, now, THIRTY_DAYS, lambda: in_use)
    clean_up(lake, now)
    return removed


def test_an_old_date_goes_whole_and_the_published_and_the_latest_one_stay_whole(kept: Store) -> None:
    stay = of(kept, PUBLISHED) | of(kept, LATEST)

    assert remove(kept) == [OLD]

    assert {item.key for item in kept.list("")} == stay
    assert remove(kept) == []


def test_a_date_goes_on_the_day_it_is_old_enough_and_not_a_moment_before(kept: Store) -> None:
    before = of(kept, OLD)

    assert remove(kept, LATER - MOMENT) == []
    assert of(kept, OLD) == before
    assert remove(kept, LATER) == [OLD]


def test_a_date_is_as_old_as_its_ingestion_however_long_ago_the_date_is(kept: Store) -> None:
    ingest(kept, date(1999, 1, 1), at=INGESTED + timedelta(days=1))

    assert remove(kept) == [OLD]


def test_a_date_of_which_one_table_was_ingested_again_stays_whole(kept: Store) -> None:
    ingest(kept, OLD, "user_purchase", at=INGESTED + timedelta(days=1))

    assert remove(kept) == []
    assert read_raw_manifest(kept, "movie_review", OLD)
    assert read_raw_manifest(kept, "user_purchase", OLD)


def test_the_base_of_the_increments_that_are_published_stays(kept: Store) -> None:
    assert remove(kept, in_use=[PUBLISHED, OLD]) == []


def test_a_date_that_is_published_while_others_go_stays(kept: Store) -> None:
    older = date(2010, 12, 4)
    ingest(kept, older)
    before = of(kept, OLD)

    def in_use() -> list[date]:
        return [PUBLISHED] if older in raw_dates(kept) else [OLD]

    assert remove_old_raw(kept, LATER, THIRTY_DAYS, in_use) == [older]
    assert of(kept, OLD) == before


def test_while_nothing_is_known_to_be_published_all_dates_stay(kept: Store) -> None:
    with capture_logs() as logs:
        assert remove(kept, in_use=[]) == []

    assert set(raw_dates(kept)) == {OLD, PUBLISHED, LATEST}
    assert logs[0]["reason"] == "nothing is published"


def test_a_date_with_a_manifest_that_cannot_be_read_stays(kept: Store) -> None:
    kept.put(keys.raw_manifest("user_purchase", OLD), b'{"format": 2}')
    before = of(kept, OLD)

    with capture_logs() as logs:
        assert remove(kept) == []

    assert of(kept, OLD) == before
    assert keys.raw_manifest("user_purchase", OLD) in logs[0]["reason"]


def test_the_log_says_what_went(kept: Store) -> None:
    with capture_logs() as logs:
        remove(kept)

    date_, files = logs
    assert date_["event"] == "removed the raw data of a date"
    assert date_["ds"] == "2010-12-05"
    assert date_["rows"] == {"movie_review": 1, "user_purchase": 1}
    assert files["objects"] == 4


def test_staged_data_models_and_reports_of_an_old_date_stay(kept: Store) -> None:
    others = {keys.staging_manifest("user_purchase", OLD), keys.report_page(OLD), keys.model_file("1")}
    for key in others:
        kept.put(key, b"body")

    assert remove(kept) == [OLD]
    assert others <= {item.key for item in kept.list("")}


class Killed(Exception):
    """The end of the process, as far as the lake sees it."""


class KilledBefore:
    """A store whose process ends just before one of its deletions, counted from 0."""

    def __init__(self, store: Store, deletion: int) -> None:
        self._store, self._left = store, deletion

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self._store, name)  # type: ignore[no-any-return]

    def delete(self, key: str) -> None:
        if self._left == 0:
            raise Killed(key)
        self._left -= 1
        self._store.delete(key)


def manifests(lake: Store) -> Iterator[RawManifest]:
    for item in lake.list(keys.RAW):
        if item.key.endswith(keys.MANIFEST):
            body = lake.get(item.key)
            assert body
            yield RawManifest.model_validate_json(body)


@pytest.mark.parametrize("deletion", range(6))
def test_killed_at_any_deletion_no_manifest_names_what_is_gone_and_the_next_time_ends_it(
    kept: Store, deletion: int
) -> None:
    stay = of(kept, PUBLISHED) | of(kept, LATEST)

    with pytest.raises(Killed):
        remove(KilledBefore(kept, deletion))  # type: ignore[arg-type]

    there = {item.key for item in kept.list("")}
    for manifest in manifests(kept):
        assert manifest.quarantine
        assert {file.key for file in [*manifest.files, manifest.quarantine]} <= there
    remove(kept)
    assert {item.key for item in kept.list("")} == stay
