"""The applications as `spark-submit` runs them on one machine."""

import json
import os
import signal
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.emulator import Emulator
from tests.fixtures.spark import DS, purchase, review, write_raw
from user_analytics.errors import ManifestMissing
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import Table, read_staging_manifest
from user_analytics.sentiment.model import load_model
from user_analytics.settings import Settings
from user_analytics.spark.submit import Submission, Truststore, spark_submit_command
from user_analytics.warehouse.client import Warehouse

SECONDS = 240


class Applications:
    """Runs applications with settings of the test's own, in a folder with a space in its name."""

    def __init__(self, settings: Settings, emulator: Emulator) -> None:
        self.settings = settings
        self._truststore = Truststore(emulator.truststore, emulator.truststore_password)

    def submission(self, table: Table, ds: date, **options: Any) -> Submission:
        return spark_submit_command(self.settings, table, ds, truststore=self._truststore, **options)

    def run(self, table: Table, ds: date = DS, **options: Any) -> subprocess.CompletedProcess[str]:
        command, environment = self.submission(table, ds, **options)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture
def applications(warehouse_settings: Settings, emulator: Emulator, store: LocalStore, tmp_path: Path) -> Applications:
    own = {"lake_url": store.url, "run_dir": tmp_path / "run dir"}
    return Applications(warehouse_settings.model_copy(update=own), emulator)


def reason(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line in which an application says why it failed."""
    events = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    [failure] = [event for event in events if event["event"] == "application_failed"]
    return str(failure["reason"])


def invoice_numbers(warehouse: Warehouse, store: LocalStore) -> list[str]:
    table = read_staging_manifest(store, "user_purchase", DS).manifest.staging_table
    query = f"select invoice_number from `{warehouse.staging_table_id(table)}` order by 1"
    return [number for (number,) in warehouse.rows(query).rows]


def test_reviews_are_staged_with_their_sentiment(
    applications: Applications, warehouse: Warehouse, store: LocalStore
) -> None:
    write_raw(store, "movie_review", [[review(1, "A wonderful film."), review(2, "😀")], [review(3, "Boring, bad.")]])
    finished = applications.run("movie_review")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    manifest = read_staging_manifest(store, "movie_review", DS).manifest
    assert manifest.model_version == load_model().version
    table = warehouse.staging_table_id(manifest.staging_table)
    rows = warehouse.rows(f"select review_id, positive_review, logical_date from `{table}` order by 1").rows
    assert rows == [(1, True, DS), (2, None, DS), (3, False, DS)]
    assert list((applications.settings.run_dir / "spark").iterdir()) == []


def test_purchases_whose_application_is_killed_while_it_writes_are_staged_whole_by_the_next(
    applications: Applications, warehouse: Warehouse, store: LocalStore, emulator: Emulator
) -> None:
    numbers = [f"{number:06}" for number in range(100_000)]
    write_raw(store, "user_purchase", [list(map(purchase, numbers[:50_000])), list(map(purchase, numbers[50_000:]))])
    command, environment = applications.submission("user_purchase", DS)
    killed = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    while not _writes_to(killed, emulator.grpc_port):
        assert killed.poll() is None
        time.sleep(0.05)
    workers = psutil.Process(killed.pid).children(recursive=True)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    with pytest.raises(ManifestMissing):
        read_staging_manifest(store, "user_purchase", DS)

    finished = applications.run("user_purchase")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert invoice_numbers(warehouse, store) == numbers


def _writes_to(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the process (spark-submit becomes the JVM) has a connection to the Storage API."""
    return any(
        connection.raddr and connection.raddr.port == port
        for connection in psutil.Process(process.pid).net_connections("tcp")
    )


def test_an_altered_file_ends_the_application_with_one_line_that_names_it(
    applications: Applications, store: LocalStore
) -> None:
    key = write_raw(store, "user_purchase", [[purchase()]]).manifest.files[0].key
    store.put(key, (store.get(key) or b"")[::-1])
    finished = applications.run("user_purchase")
    assert finished.returncode == 1
    assert reason(finished).startswith(f"{store.url}/{key} was truncated or altered")
    with pytest.raises(ManifestMissing):
        read_staging_manifest(store, "user_purchase", DS)


def test_a_date_without_raw_data_is_an_error_that_says_what_to_run(
    applications: Applications, store: LocalStore
) -> None:
    finished = applications.run("movie_review", date(2010, 12, 9), model_version="tfidf-none")
    assert finished.returncode == 1
    assert reason(finished) == (
        f"{store.url}/raw/movie_review/ds=2010-12-09/_manifest.json does not exist: run its ingestion first"
    )


def test_a_malformed_date_is_wrong_usage(applications: Applications) -> None:
    command, environment = applications.submission("movie_review", DS)
    command[command.index("--ds") + 1] = "08/12/2010"
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert finished.returncode == 2
    assert "'08/12/2010' is not a date like 2010-12-08" in finished.stdout
