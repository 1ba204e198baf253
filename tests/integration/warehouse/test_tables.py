"""Datasets, tables and staging tables: made when missing, left alone when there."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.fixtures.warehouse import DS, Review, append_reviews, published_reviews
from user_analytics.errors import Unreachable, WarehouseError
from user_analytics.settings import Settings
from user_analytics.sql import render_sql
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.publications import publications
from user_analytics.warehouse.staging import create_staging_table, remove_old_staging
from user_analytics.warehouse.tables import TABLES, create_table, ensure_tables

ATTEMPT = UUID("0123456789abcdef0123456789abcdef")


def columns(warehouse: Warehouse, dataset: str, table: str) -> list[tuple[str, str]]:
    """(name, type) of every column, in order."""
    return warehouse.rows(
        f"select column_name, data_type from `{warehouse.project}.{dataset}.INFORMATION_SCHEMA.COLUMNS` "
        f"where table_name = '{table}' order by ordinal_position"
    ).rows


def test_all_tables_are_created_in_a_dataset_that_was_missing(warehouse: Warehouse) -> None:
    ensure_tables(warehouse)
    assert all(warehouse.table_exists(warehouse.table_id(table)) for table in TABLES)
    assert columns(warehouse, warehouse.settings.bigquery_dataset, "user_purchase") == [
        ("invoice_number", "STRING"),
        ("stock_code", "STRING"),
        ("detail", "STRING"),
        ("quantity", "INT64"),
        ("invoice_date", "TIMESTAMP"),
        ("unit_price", "NUMERIC"),
        ("customer_id", "INT64"),
        ("country", "STRING"),
        ("logical_date", "DATE"),
    ]
    assert columns(warehouse, warehouse.settings.bigquery_dataset, "movie_review") == [
        ("review_id", "INT64"),
        ("cid", "INT64"),
        ("review_str", "STRING"),
        ("positive_review", "BOOL"),
        ("positive_probability", "FLOAT64"),
        ("model_version", "STRING"),
        ("logical_date", "DATE"),
    ]


def test_tables_that_exist_keep_their_rows(tables: Warehouse) -> None:
    append_reviews(tables, tables.table_id("movie_review"), [Review(7)])
    ensure_tables(tables)
    assert published_reviews(tables) == [(1, 7, DS)]


def test_several_processes_may_create_the_tables_at_the_same_time(warehouse: Warehouse) -> None:
    def create(_: int) -> None:
        with open_warehouse(warehouse.settings) as own:
            ensure_tables(own)

    with ThreadPoolExecutor() as pool:
        list(pool.map(create, range(4)))
    assert warehouse.rows(f"select count(*) from `{warehouse.table_id('publish_lock')}`").rows == [(1,)]


def test_a_table_that_another_process_creates_at_the_same_instant_is_no_error(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_id = tables.table_id("movie_review")
    monkeypatch.setattr(Warehouse, "table_exists", lambda *_: False)
    monkeypatch.setattr(
        "user_analytics.warehouse.tables.render_sql",
        lambda *path, **names: render_sql(*path, **names).replace("if not exists ", ""),
    )
    create_table(tables, "movie_review", table_id)
    assert published_reviews(tables) == []


def test_a_dataset_in_another_location_is_refused_naming_the_setting(warehouse: Warehouse) -> None:
    ensure_tables(warehouse)
    settings = warehouse.settings.model_copy(update={"bigquery_location": "EU"})
    with open_warehouse(settings) as elsewhere, pytest.raises(WarehouseError) as refusal:
        ensure_tables(elsewhere)
    assert str(refusal.value).startswith(
        f"dataset user-analytics-test.{settings.bigquery_dataset} lies in US, but BIGQUERY_LOCATION is EU: "
        "set BIGQUERY_LOCATION=US"
    )


def test_nothing_was_ever_published_in_a_project_without_datasets(warehouse: Warehouse) -> None:
    assert publications(warehouse) == []


@pytest.mark.parametrize("table", ["movie_review", "user_purchase"])
def test_a_staging_table_is_named_for_its_attempt_and_has_the_columns_of_the_table(
    tables: Warehouse, table: str
) -> None:
    name = create_staging_table(tables, table, DS, ATTEMPT)  # type: ignore[arg-type]
    assert name == f"{table}__20101208__0123456789abcdef0123456789abcdef"
    settings = tables.settings
    assert columns(tables, settings.bigquery_staging_dataset, name) == columns(tables, settings.bigquery_dataset, table)


def test_only_staging_tables_older_than_the_given_time_are_removed(warehouse: Warehouse) -> None:
    name = create_staging_table(warehouse, "movie_review", DS, ATTEMPT)
    warehouse.run(f"create table `{warehouse.staging_table_id('somebody_elses')}` (number int64)")
    now = datetime.now(UTC)

    assert remove_old_staging(warehouse, now - timedelta(hours=1)) == []
    assert remove_old_staging(warehouse, now + timedelta(hours=1)) == [name]
    assert [table.name for table in warehouse.staging_tables()] == ["somebody_elses"]


def test_no_staging_dataset_holds_no_old_staging(warehouse: Warehouse) -> None:
    assert remove_old_staging(warehouse, datetime.now(UTC)) == []


class TestUnreachable:
    @pytest.fixture
    def nobody(self, warehouse_settings: Settings) -> Iterator[Settings]:
        """Settings of an address where nobody listens."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            yield warehouse_settings.model_copy(
                update={
                    "bigquery_endpoint": f"http://127.0.0.1:{taken.getsockname()[1]}",
                    "connect_timeout_seconds": 1,
                }
            )

    @pytest.mark.parametrize("use", [ensure_tables, lambda warehouse: warehouse.rows("select 1")])
    def test_a_server_that_does_not_answer_is_an_error_after_the_stated_time(
        self, nobody: Settings, use: Callable[[Warehouse], object]
    ) -> None:
        address = str(nobody.bigquery_endpoint).removeprefix("http://")
        started = time.monotonic()
        with open_warehouse(nobody) as warehouse, pytest.raises(Unreachable) as failure:
            use(warehouse)
        assert str(failure.value) == (
            f"BigQuery at {address} did not answer within 1 s: is it running and reachable? "
            "(CONNECT_TIMEOUT_SECONDS sets how long to wait)"
        )
        assert time.monotonic() - started < 10
