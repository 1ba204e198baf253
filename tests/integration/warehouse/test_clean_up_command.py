"""`user-analytics clean-up`: what it takes of the lake depends on what the warehouse says is published."""

import subprocess
import sys
from datetime import date
from uuid import uuid4

import pytest

from tests.fixtures.warehouse import DS, Purchase, Review, ingest, prepare, stage
from user_analytics.lake.keys import AIRFLOW_LOGS, raw_part
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import raw_dates
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse
from user_analytics.warehouse.publish import publish

EARLIER, LATER, LATEST = date(2010, 12, 7), date(2010, 12, 9), date(2010, 12, 10)
LEFT = raw_part("user_purchase", LATEST, uuid4(), 1)
AIRFLOW_LOG = f"{AIRFLOW_LOGS}dag_id=user_analytics_dag/run_id=a/task_id=publish/attempt=1.log"


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


def clean_up(*arguments: str, hours_later: float = 0) -> None:
    """Run the command, as if so many hours were over."""
    # a process of its own: a command sets up logging for all of its process
    program = [sys.executable, "-c", LATER_PROGRAM, str(hours_later)]
    subprocess.run([*program, "clean-up", *arguments], check=True)


LATER_PROGRAM = """
import sys
from datetime import datetime, timedelta
from user_analytics import cli

passed = timedelta(hours=float(sys.argv.pop(1)))

class Later(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + passed

cli.datetime = Later
cli.main()
"""


def leave_behind(warehouse: Warehouse, store: LocalStore) -> None:
    """What an attempt that failed leaves: a file that no manifest names, and staging tables."""
    store.put(LEFT, b"body")
    stage(warehouse, store, [Review(1)], [Purchase(1)], ds=LATEST)


def is_left(warehouse: Warehouse, store: LocalStore) -> tuple[bool, int]:
    """Whether the file is, and how many staging tables are."""
    return LEFT in {item.key for item in store.list("")}, len(warehouse.staging_tables())


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


@pytest.mark.parametrize(("setting", "hours"), [({}, 24), ({"LEFTOVER_RETENTION_HOURS": "2"}, 2)])
def test_what_failed_attempts_left_goes_after_a_day_or_as_the_setting_says(
    kept: LocalStore, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str], hours: int
) -> None:
    leave_behind(warehouse, kept)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)

    clean_up(hours_later=hours - 1)
    assert is_left(warehouse, kept) == (True, 2)
    clean_up(hours_later=hours + 1)
    assert is_left(warehouse, kept) == (False, 0)


def test_the_option_wins_over_that_setting_too(
    kept: LocalStore, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_behind(warehouse, kept)
    monkeypatch.setenv("LEFTOVER_RETENTION_HOURS", "2")

    clean_up("--leftover-retention-hours", "4", hours_later=3)

    assert is_left(warehouse, kept) == (True, 2)


@pytest.mark.parametrize(("setting", "days"), [({}, 90), ({"AIRFLOW_LOG_RETENTION_DAYS": "30"}, 30)])
def test_airflow_s_logs_go_after_90_days_or_as_the_setting_says(
    kept: LocalStore, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str], days: int
) -> None:
    kept.put(AIRFLOW_LOG, b"a line")
    for name, value in setting.items():
        monkeypatch.setenv(name, value)

    clean_up(hours_later=days * 24 - 1)
    assert kept.get(AIRFLOW_LOG) is not None
    clean_up(hours_later=days * 24 + 1)
    assert kept.get(AIRFLOW_LOG) is None


def test_the_option_wins_over_the_setting_of_airflow_s_logs(kept: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.put(AIRFLOW_LOG, b"a line")
    monkeypatch.setenv("AIRFLOW_LOG_RETENTION_DAYS", "1")

    clean_up("--airflow-log-retention-days", "2", hours_later=25)

    assert kept.get(AIRFLOW_LOG) is not None
