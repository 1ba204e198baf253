"""`user-analytics clean-up`: what it takes of the lake depends on what the warehouse says is published."""

import shutil
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.fixtures.emulator import Emulator, settings_for
from tests.fixtures.warehouse import DS, Purchase, Review, ingest, prepare, stage
from user_analytics import cli
from user_analytics.lake.keys import AIRFLOW_LOGS, raw_part
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import raw_dates
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.publish import publish

EARLIER, LATER, LATEST = date(2010, 12, 7), date(2010, 12, 9), date(2010, 12, 10)
LEFT = raw_part("user_purchase", LATEST, uuid4(), 1)
AIRFLOW_LOG = f"{AIRFLOW_LOGS}dag_id=user_analytics_dag/run_id=a/task_id=publish/attempt=1.log"

CleanUp = Callable[..., None]


class Published(NamedTuple):
    """Four dates that were ingested years ago, of which DS is published."""

    warehouse: Warehouse
    store: LocalStore


@pytest.fixture(scope="module")
def published(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """For tests that change a copy of the store, and no table but those of staging."""
    store = LocalStore(tmp_path_factory.mktemp("published"))
    with pytest.MonkeyPatch.context() as patch, open_warehouse(settings_for(emulator, patch)) as warehouse:
        for ds in (EARLIER, LATER, LATEST):
            ingest(store, [Review(1)], [Purchase(1)], ds=ds)
        prepare(warehouse, store, [Review(1)], [Purchase(1)])
        publish(warehouse, store, DS)
        yield Published(warehouse, store)


@pytest.fixture
def warehouse(published: Published) -> Iterator[Warehouse]:
    """The published one, without staging tables."""
    yield published.warehouse
    for table in published.warehouse.staging_tables():
        published.warehouse.delete_table(published.warehouse.staging_table_id(table.name))


@pytest.fixture
def kept(published: Published, tmp_path: Path) -> LocalStore:
    """A copy of the published store."""
    shutil.copytree(published.store.root, tmp_path / "lake")
    return LocalStore(tmp_path / "lake")


@pytest.fixture
def clean_up(warehouse: Warehouse, kept: LocalStore, monkeypatch: pytest.MonkeyPatch) -> CleanUp:
    """The command on `kept` and `warehouse`, with these settings, as if so many hours were over."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LAKE_URL", kept.url)
    for name in ("gcp_project", "bigquery_dataset", "bigquery_staging_dataset", "bigquery_endpoint"):
        monkeypatch.setenv(name.upper(), getattr(warehouse.settings, name))
    monkeypatch.setenv("BIGQUERY_GRPC_ENDPOINT", "127.0.0.1:1")
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)  # which is for all of a process

    def run(*arguments: str, hours_later: float = 0, **variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        class Later(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + timedelta(hours=hours_later)

        monkeypatch.setattr(cli, "datetime", Later)
        cli.app(["clean-up", *arguments], standalone_mode=False)

    return run


def leave_behind(warehouse: Warehouse, store: LocalStore) -> None:
    """What an attempt that failed leaves: a file that no manifest names, and staging tables."""
    store.put(LEFT, b"body")
    stage(warehouse, store, [Review(1)], [Purchase(1)], ds=LATEST)


def is_left(warehouse: Warehouse, store: LocalStore) -> tuple[bool, int]:
    """Whether the file is, and how many staging tables are."""
    return LEFT in {item.key for item in store.list("")}, len(warehouse.staging_tables())


def test_raw_data_stays_for_ever_unless_a_retention_is_set(kept: LocalStore, clean_up: CleanUp) -> None:
    clean_up()

    assert set(raw_dates(kept)) == {EARLIER, DS, LATER, LATEST}


def test_the_setting_takes_what_is_old_but_the_published_and_the_latest_date(
    kept: LocalStore, clean_up: CleanUp
) -> None:
    clean_up(RAW_RETENTION_DAYS="30")

    assert set(raw_dates(kept)) == {DS, LATEST}


def test_the_option_wins_over_the_setting(kept: LocalStore, clean_up: CleanUp) -> None:
    clean_up("--raw-retention-days", "36500", RAW_RETENTION_DAYS="30")

    assert set(raw_dates(kept)) == {EARLIER, DS, LATER, LATEST}


@pytest.mark.parametrize(("setting", "hours"), [({}, 24), ({"LEFTOVER_RETENTION_HOURS": "2"}, 2)])
def test_what_failed_attempts_left_goes_after_a_day_or_as_the_setting_says(
    kept: LocalStore, clean_up: CleanUp, warehouse: Warehouse, setting: dict[str, str], hours: int
) -> None:
    leave_behind(warehouse, kept)

    clean_up(hours_later=hours - 1, **setting)
    assert is_left(warehouse, kept) == (True, 2)
    clean_up(hours_later=hours + 1, **setting)
    assert is_left(warehouse, kept) == (False, 0)


def test_the_option_wins_over_that_setting_too(kept: LocalStore, clean_up: CleanUp, warehouse: Warehouse) -> None:
    leave_behind(warehouse, kept)

    clean_up("--leftover-retention-hours", "4", hours_later=3, LEFTOVER_RETENTION_HOURS="2")

    assert is_left(warehouse, kept) == (True, 2)


@pytest.mark.parametrize(("setting", "days"), [({}, 90), ({"AIRFLOW_LOG_RETENTION_DAYS": "30"}, 30)])
def test_airflow_s_logs_go_after_90_days_or_as_the_setting_says(
    kept: LocalStore, clean_up: CleanUp, setting: dict[str, str], days: int
) -> None:
    kept.put(AIRFLOW_LOG, b"a line")

    clean_up(hours_later=days * 24 - 1, **setting)
    assert kept.get(AIRFLOW_LOG) is not None
    clean_up(hours_later=days * 24 + 1, **setting)
    assert kept.get(AIRFLOW_LOG) is None


def test_the_option_wins_over_the_setting_of_airflow_s_logs(kept: LocalStore, clean_up: CleanUp) -> None:
    kept.put(AIRFLOW_LOG, b"a line")

    clean_up("--airflow-log-retention-days", "2", hours_later=25, AIRFLOW_LOG_RETENTION_DAYS="1")

    assert kept.get(AIRFLOW_LOG) is not None
