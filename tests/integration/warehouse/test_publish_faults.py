"""Publish while things die: whatever happens, the tables hold one whole publication, and a rerun ends well."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from structlog.testing import capture_logs

from tests.fixtures.emulator import Emulator, settings_for
from tests.fixtures.warehouse import DS, Purchase, Review, prepare, published_purchases, published_reviews
from user_analytics.errors import ConcurrentUpdate, PublishRefused, Unreachable, WarehouseError
from user_analytics.lake.local_store import LocalStore
from user_analytics.sql import render_sql
from user_analytics.warehouse.audit import audit_staged
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.publications import Publication, publications
from user_analytics.warehouse.publish import publish
from user_analytics.warehouse.staging import StagedPair

AFTER_COMMIT = "commit transaction;"
# Between the turns the emulator serves others; it ends with the server.
NEVER_ENDING = "loop set turn = turn + 1; end loop;\n"


@pytest.fixture
def private(private_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A warehouse on an emulator of the test's own, with one publication, which gives up on a dead server soon."""
    settings = settings_for(private_emulator, monkeypatch).model_copy(update={"connect_timeout_seconds": 3})
    with open_warehouse(settings) as opened:
        yield opened


@pytest.fixture
def change_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str]], None]:
    """Replace the publish script by what a function makes of it."""

    def change(edit: Callable[[str], str]) -> None:
        monkeypatch.setattr(
            "user_analytics.warehouse.publish.render_sql", lambda *path, **names: edit(render_sql(*path, **names))
        )

    return change


def before(statement: str, text: str) -> Callable[[str], str]:
    def edit(script: str) -> str:
        assert script.count(text) == 1
        return script.replace(text, statement + text)

    return edit


def publish_old_prepare_new(warehouse: Warehouse, store: LocalStore) -> None:
    prepare(warehouse, store, [Review(1)], [Purchase(1)])
    publish(warehouse, store, DS)
    prepare(warehouse, store, [Review(2)], [Purchase(2)])


def customers(warehouse: Warehouse) -> tuple[list[int], list[int | None], int]:
    """Customers in movie_review, customers in user_purchase, number of publications."""
    return (
        [row[1] for row in published_reviews(warehouse)],
        [row[1] for row in published_purchases(warehouse)],
        len(publications(warehouse)),
    )


OLD, NEW = ([1], [1], 1), ([2], [2], 2)


def never_ending(before_text: str = "") -> Callable[[str], str]:
    """The script with a loop without end before the only statement that begins so, or at its end."""

    def edit(script: str) -> str:
        changed = before(NEVER_ENDING, before_text)(script) if before_text else script + NEVER_ENDING
        return f"declare turn int64 default 0;\n{changed}"

    return edit


@contextmanager
def publishing(warehouse: Warehouse, emulator: Emulator, store: LocalStore) -> Iterator[str]:
    """Publish beside the test, which is to kill the emulator while the job, whose id it is given, runs."""
    with capture_logs() as events, ThreadPoolExecutor() as pool:
        under_way: Future[Publication] = pool.submit(publish, warehouse, store, DS)
        deadline = time.monotonic() + 60
        while not (ids := [event["job_id"] for event in events if event["event"] == "publishing"]):
            assert time.monotonic() < deadline, under_way
            time.sleep(0.05)
        try:
            yield ids[0]
        finally:
            emulator.kill()
        with pytest.raises(Unreachable, match=r"BigQuery at 127\.0\.0\.1:\d+ did not answer within 3 s"):
            under_way.result()


def is_running(emulator: Emulator, job_id: str) -> bool:
    address = f"{emulator.rest_url}/bigquery/v2/projects/user-analytics-test/jobs/{job_id}"
    answer = requests.get(address, timeout=60)
    return answer.ok and answer.json()["status"]["state"] == "RUNNING"


def test_an_emulator_killed_between_the_deletes_and_an_insert_has_the_old_tables_when_it_is_back(
    private: Warehouse,
    private_emulator: Emulator,
    store: LocalStore,
    change_script: Callable[[Callable[[str], str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_old_prepare_new(private, store)
    change_script(never_ending(f"insert into `{private.table_id('user_purchase')}`"))
    with publishing(private, private_emulator, store) as job_id:
        while not is_running(private_emulator, job_id):
            time.sleep(0.05)
        for _ in range(20):  # a statement of the script between each two answers
            assert is_running(private_emulator, job_id)
        time.sleep(1)
    monkeypatch.undo()

    private_emulator.restart()
    assert customers(private) == OLD
    publish(private, store, DS)
    assert customers(private) == NEW
    assert private.staging_tables() == []


def test_a_commit_whose_answer_is_lost_is_recognised(
    private: Warehouse,
    private_emulator: Emulator,
    store: LocalStore,
    change_script: Callable[[Callable[[str], str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_old_prepare_new(private, store)
    change_script(never_ending())
    with publishing(private, private_emulator, store), open_warehouse(private.settings) as reader:
        while len(publications(reader)) < 2:
            time.sleep(0.05)
    monkeypatch.undo()

    private_emulator.restart()
    assert customers(private) == NEW
    assert publish(private, store, DS).sequence == 2
    assert customers(private) == NEW


def test_an_error_inside_the_script_leaves_the_old_tables_and_the_next_run_succeeds(
    warehouse: Warehouse,
    store: LocalStore,
    change_script: Callable[[Callable[[str], str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_old_prepare_new(warehouse, store)
    staged = {table.name for table in warehouse.staging_tables()}
    change_script(before("select error('out of space');\n", AFTER_COMMIT))
    with pytest.raises(WarehouseError, match="out of space"):
        publish(warehouse, store, DS)
    assert customers(warehouse) == OLD
    assert {table.name for table in warehouse.staging_tables()} == staged

    monkeypatch.undo()
    publish(warehouse, store, DS)
    assert customers(warehouse) == NEW


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_publish_killed_while_its_job_runs_is_completed_by_the_next(
    warehouse: Warehouse, store: LocalStore, tmp_path: Path, seconds: float
) -> None:
    publish_old_prepare_new(warehouse, store)
    settings = warehouse.settings
    program = f"""
from datetime import date
from pathlib import Path
from user_analytics.lake.local_store import LocalStore
from user_analytics.settings import load_settings
from user_analytics.warehouse.client import open_warehouse
from user_analytics.warehouse.publish import publish
with open_warehouse(load_settings()) as warehouse:
    publish(warehouse, LocalStore(Path({str(store.root)!r})), date({DS.year}, {DS.month}, {DS.day}))
"""
    environment = {
        "PYTHONPATH": str(Path.cwd()),
        "GCP_PROJECT": warehouse.project,
        "BIGQUERY_ENDPOINT": str(settings.bigquery_endpoint),
        "BIGQUERY_GRPC_ENDPOINT": str(settings.bigquery_grpc_endpoint),
        "BIGQUERY_DATASET": settings.bigquery_dataset,
        "BIGQUERY_STAGING_DATASET": settings.bigquery_staging_dataset,
    }
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert any("publishing" in line for line in run.stdout)
        time.sleep(seconds)
        run.kill()

    assert publish(warehouse, store, DS).sequence == 2
    assert customers(warehouse) == NEW
    assert warehouse.staging_tables() == []


def test_preconditions_are_checked_again_when_another_publish_commits_in_between(
    warehouse: Warehouse, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = DS.replace(day=9)
    prepare(warehouse, store, [Review(8)], [Purchase(8)], ds=DS)
    prepare(warehouse, store, [Review(9)], [Purchase(9)], ds=later)

    def audit_while_another_publishes(own: Warehouse, pair: StagedPair) -> object:
        monkeypatch.undo()
        publish(warehouse, store, later)
        return audit_staged(own, pair)

    monkeypatch.setattr("user_analytics.warehouse.publish.audit_staged", audit_while_another_publishes)
    with pytest.raises(PublishRefused, match="the tables hold the data of 2010-12-09, and 2010-12-08 is older"):
        publish(warehouse, store, DS)
    assert customers(warehouse) == ([9], [9], 1)


def test_staging_dropped_by_another_run_that_published_it_is_no_error(
    warehouse: Warehouse, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(warehouse, store, [Review(1)], [Purchase(1)])

    def audit_after_another_published(own: Warehouse, pair: StagedPair) -> object:
        monkeypatch.undo()
        publish(warehouse, store, DS)
        return audit_staged(own, pair)

    monkeypatch.setattr("user_analytics.warehouse.publish.audit_staged", audit_after_another_published)
    assert publish(warehouse, store, DS).sequence == 1
    assert customers(warehouse) == OLD


def test_conflicts_without_end_are_given_up_with_the_reason(
    warehouse: Warehouse, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(*_: object) -> None:
        raise ConcurrentUpdate("Transaction is aborted due to concurrent update against table x")

    prepare(warehouse, store, [Review(1)], [Purchase(1)])
    monkeypatch.setattr("user_analytics.warehouse.publish.ATTEMPTS", 2)
    monkeypatch.setattr(Warehouse, "run_script", conflict)
    with pytest.raises(ConcurrentUpdate) as given_up:
        publish(warehouse, store, DS)
    assert str(given_up.value) == (
        "other publishes got in the way of that of 2010-12-08 2 times (Transaction is aborted due to concurrent update "
        "against table x): run publish again when they are over"
    )
    assert customers(warehouse) == ([], [], 0)
