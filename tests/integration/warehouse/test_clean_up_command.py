"""`user-analytics clean-up`: what it takes of the lake depends on what the warehouse says is published."""

import subprocess
import sys
from datetime import date

import pytest

from tests.fixtures.warehouse import DS, Purchase, Review, ingest, prepare
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import raw_dates
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse
from user_analytics.warehouse.publish import publish

EARLIER, LATER, LATEST = date(2010, 12, 7), date(2010, 12, 9), date(2010, 12, 10)


@pytest.fixture
def kept(
    warehouse: Warehouse, store: LocalStore, warehouse_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> LocalStore:
    """Four dates that were ingested years ago, of which DS is published, as what the command's settings name."""
    for ds in (EARLIER, LATER, LATEST):
        ingest(store, [Review(1)], [Purchase(1)], ds=ds)
    prepare(warehouse, store, [Review(1)], [Purchase(1)])
    publish(warehouse, store, DS)
    monkeypatch.setenv("LAKE_URL", store.url)
    for name in ("gcp_project", "bigquery_dataset", "bigquery_staging_dataset", "bigquery_endpoint"):
        monkeypatch.setenv(name.upper(), getattr(warehouse_settings, name))
    monkeypatch.setenv("BIGQUERY_GRPC_ENDPOINT", "127.0.0.1:1")
    return store


def clean_up(*arguments: str) -> None:
    # a process of its own: a command sets up logging for all of its process
    subprocess.run([sys.executable, "-m", "user_analytics.cli", "clean-up", *arguments], check=True)


def test_raw_data_stays_for_ever_unless_a_retention_is_set(kept: LocalStore) -> None:
    clean_up()

    assert set(raw_dates(kept)) == {EARLIER, DS, LATER, LATEST}


def test_the_setting_takes_what_is_old_but_the_published_and_the_latest_date(
    kept: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAW_RETENTION_DAYS", "30")

    clean_up()

    assert set(raw_dates(kept)) == {DS, LATEST}


def test_the_option_wins_over_the_setting(kept: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW_RETENTION_DAYS", "30")

    clean_up("--raw-retention-days", "36500")

    assert set(raw_dates(kept)) == {EARLIER, DS, LATER, LATEST}
