"""Clean-up removes what no manifest names and is old enough, and nothing else."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from user_analytics.lake import keys
from user_analytics.lake.clean_up import clean_up
from user_analytics.lake.manifest import DataFile, PurchaseTotals, RawManifest, write_raw_manifest
from user_analytics.lake.store import Store

DS = date(2010, 12, 8)
NOW = datetime.now(UTC)
BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(days=1)


def put(lake: Store, key: str) -> DataFile:
    lake.put(key, b"body")
    return DataFile(key=key, size=4, sha256="", rows=1)


def attempt(lake: Store, ds: date = DS) -> RawManifest:
    """An attempt's files, without its manifest."""
    uuid = uuid4()
    return RawManifest(
        table="user_purchase",
        ds=ds,
        mode="full",
        window=None,
        attempt=uuid,
        files=[put(lake, keys.raw_part("user_purchase", ds, uuid, number)) for number in range(2)],
        original=put(lake, keys.raw_original("user_purchase", ds, uuid, ".csv")),
        quarantine=put(lake, keys.quarantine_part("user_purchase", ds, uuid)),
        source_rows=3,
        rows=2,
        quarantined_rows=1,
        columns=[],
        control_totals=PurchaseTotals(sum_quantity=0, sum_amount=Decimal(0), null_customer_ids=0),
        source="",
        created_at=NOW,
        version="",
    )


def objects(lake: Store) -> set[str]:
    return {item.key for item in lake.list("")}


def test_the_files_of_a_superseded_attempt_go_when_they_are_old_and_those_of_the_current_one_stay(lake: Store) -> None:
    write_raw_manifest(lake, attempt(lake))
    superseded = objects(lake) - {keys.raw_manifest("user_purchase", DS)}
    write_raw_manifest(lake, attempt(lake))
    current = objects(lake) - superseded

    assert clean_up(lake, BEFORE).keys == []
    cleaned = clean_up(lake, AFTER)

    assert set(cleaned.keys) == superseded
    assert cleaned.size == 4 * len(superseded)
    assert objects(lake) == current
    assert clean_up(lake, AFTER) == ([], 0)


def test_the_files_of_an_attempt_that_never_wrote_its_manifest_go_when_they_are_old(lake: Store) -> None:
    attempt(lake)
    left = objects(lake)

    assert set(clean_up(lake, AFTER).keys) == left
    assert objects(lake) == set()


def test_each_date_keeps_its_own_files(lake: Store) -> None:
    for day in range(1, 4):
        write_raw_manifest(lake, attempt(lake, date(2010, 12, day)))

    assert clean_up(lake, AFTER).keys == []


def test_a_date_whose_manifest_cannot_be_read_keeps_all_its_files(lake: Store) -> None:
    attempt(lake)
    lake.put(keys.raw_manifest("user_purchase", DS), b'{"format": 2}')
    before = objects(lake)

    assert clean_up(lake, AFTER).keys == []
    assert objects(lake) == before


@pytest.mark.parametrize(
    "key",
    [
        "landing/movie_review.csv",
        "models/sentiment/1/model.parquet",
        "reports/ds=2010-12-08/index.html",
        "staging/user_purchase/ds=2010-12-08/_manifest.json",
        "spark-events/app-1",
        "raw/other_table/ds=2010-12-08/part",
        "raw/user_purchase/ds=2010-13-40/part",
        "raw/user_purchase/notes.txt",
    ],
)
def test_what_no_ingestion_wrote_is_not_touched(lake: Store, key: str) -> None:
    put(lake, key)

    assert clean_up(lake, AFTER).keys == []
    assert objects(lake) == {key}
